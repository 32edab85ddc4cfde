"""What a dialect does not print."""

from __future__ import annotations


class NotPrinted(Exception):
    """A construct that a dialect has no SQL for; `construct` is its name in KQL."""

    def __init__(self, dialect: str, construct: str) -> None:
        super().__init__(f"the dialect '{dialect}' does not print {construct}")
        self.construct = construct
