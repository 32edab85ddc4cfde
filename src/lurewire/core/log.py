"""Logging: structlog to standard error; whatever an attacker wrote is shown, never obeyed."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

_MAX_TEXT = 2_000


def inert(text: str) -> str:
    """`text` with every control character, escape sequence and bidirectional override written out.

    A terminal that shows the result cannot be moved, coloured or re-titled by it.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _inert_value(value: object) -> object:
    if isinstance(value, str):
        shown = value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}... ({len(value)} characters)"
        return inert(shown)
    if isinstance(value, bytes):
        return _inert_value(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, int | float | bool) or value is None:
        return value
    return _inert_value(str(value))


def _make_inert(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Last processor before the renderer: hostile text in any value is made inert."""
    for key, value in event.items():
        if key != "exception":
            event[key] = _inert_value(value)
        else:
            # Indented, so that a message with a line break in it cannot pass for a log line of its own.
            event[key] = "\n".join(f"  {_inert_value(line)}" for line in str(value).splitlines())
    return event


class _Lines(structlog.PrintLogger):
    """Writes lines; one for which there is no room or no reader any more is lost, and what it told of goes on."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class _OfLibraries(logging.Handler):
    """Makes lines of ours of what libraries log: it may hold an attacker's text, too."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            get_logger(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - logging's own way with a line that cannot be written
            self.handleError(record)


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send log lines of `level` and above to `stream` (default: standard error), one a line, key=value.

    Libraries that log in Python's own way are heard from `warning` on.
    """
    target = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _make_inert,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _Lines(target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _OfLibraries)]:
        root.removeHandler(handler)
    root.addHandler(_OfLibraries(logging.WARNING))


def get_logger(name: str, **bound: Any) -> FilteringBoundLogger:
    """A logger whose lines carry `[name]`."""
    return cast("FilteringBoundLogger", structlog.get_logger(logger_name=name, **bound))
