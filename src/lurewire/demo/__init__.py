"""The demo: real attacks, and the loop's answer to them, told as it happens."""

from lurewire.demo.run import demo

__all__ = ["demo"]
