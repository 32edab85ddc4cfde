"""The line discipline of the fake shell: bytes in, lines out, with the echo that a terminal would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CR, _LF = 0x0D, 0x0A
_SPACE = 0x20

END_OF_INPUT = None
"""Stands among the lines for Ctrl-D on an empty line."""


class Terminal:
    """Cuts a client's bytes into lines of at most `longest` bytes; what is over is dropped.

    With `echo` (a client that asked for a terminal) it edits the line and says what to show; without, bytes are data.
    """

    def __init__(self, longest: int, *, echo: bool) -> None:
        self._longest = longest
        self._echo = echo
        self._line = bytearray()
        self._shown = bytearray()
        self._lines: list[bytes | None] = []
        self._after_cr = False

    @property
    def unfinished(self) -> bytes:
        """What was typed since the last line."""
        return bytes(self._line)

    def feed(self, data: bytes) -> tuple[list[bytes | None], bytes]:
        """The lines that `data` completes, without their ends, and the echo."""
        keys = _KEYS if self._echo else _ENDS
        for byte in data:
            follows_cr, self._after_cr = self._after_cr, byte == _CR
            if byte == _LF and follows_cr:
                continue
            key = keys.get(byte)
            if key is not None:
                key(self)
            elif len(self._line) < self._longest:
                self._line.append(byte)
                if byte >= _SPACE:  # a control character is kept and recorded, not echoed
                    self._shown.append(byte)
        lines, shown = self._lines, bytes(self._shown)
        self._lines, self._shown = [], bytearray()
        return lines, shown if self._echo else b""

    def end_line(self) -> None:
        """Enter."""
        self._lines.append(bytes(self._line))
        self._line.clear()
        self._shown += b"\r\n"

    def rub_out(self) -> None:
        """Backspace."""
        if self._line:
            self._line.pop()
            self._shown += b"\b \b"

    def interrupt(self) -> None:
        """Ctrl-C: the line is dropped."""
        self._line.clear()
        self._shown += b"^C\r\n"
        self._lines.append(b"")

    def end_input(self) -> None:
        """Ctrl-D."""
        if not self._line:
            self._lines.append(END_OF_INPUT)

    def kill_line(self) -> None:
        """Ctrl-U."""
        self._shown += b"\b \b" * len(self._line)
        self._line.clear()


_ENDS: Mapping[int, Callable[[Terminal], None]] = {_CR: Terminal.end_line, _LF: Terminal.end_line}
_KEYS: Mapping[int, Callable[[Terminal], None]] = {
    **_ENDS,
    0x08: Terminal.rub_out,
    0x7F: Terminal.rub_out,
    0x03: Terminal.interrupt,
    0x04: Terminal.end_input,
    0x15: Terminal.kill_line,
}
"""What a terminal does with a key other than putting it into the line."""
