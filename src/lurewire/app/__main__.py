"""The core process, as the supervisor starts it: `python -m lurewire.app`."""

from lurewire.app.process import main

main()
