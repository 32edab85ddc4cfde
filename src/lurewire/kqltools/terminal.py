"""Text for a terminal: what comes from data can neither move it, colour it nor re-title it, and takes the width it has."""

from __future__ import annotations

import unicodedata


def inert(text: str) -> str:
    """`text` with every control character, escape sequence and bidirectional override written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def inert_lines(text: str) -> str:
    """A text of several lines, each of them inert."""
    return "\n".join(inert(line) for line in text.split("\n"))


def width(text: str) -> int:
    """How many cells an inert text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, cells: int) -> str:
    """An inert text in at most that many cells; an ellipsis stands for what is left out."""
    if width(text) <= cells:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > cells - 1:
            break
        kept.append(character)
    return f"{''.join(kept)}…" if cells > 0 else ""


def padded(text: str, cells: int, *, right: bool = False) -> str:
    """An inert text with spaces after it, or before it with `right`, up to that many cells."""
    space = " " * max(cells - width(text), 0)
    return space + text if right else text + space
