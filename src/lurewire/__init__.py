"""Lurewire: the Microsoft Sentinel deception-to-response loop on one machine."""

__version__ = "0.1.0.dev0"
