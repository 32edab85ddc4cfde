"""`python -m lurewire.sensor [CONFIG]`: the sensor process; CONFIG is a file, else one line on standard input."""

from __future__ import annotations

import sys

from lurewire.sensor.process import main

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
