from __future__ import annotations

import errno
import io
import logging
import unicodedata
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from lurewire.core.log import configure, get_logger, inert

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = {
    "colour": "\x1b[31mroot\x1b[0m",
    "clear screen": "\x1b[2J\x1b[H",
    "window title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "8-bit CSI": "\x9b31m",
    "right-to-left override": "user\u202etxt.exe",
    "isolates": "\u2066a\u2069",
    "line separator": "a\u2028b\u2029c\x85d",
    "backspaces": "safe\b\b\b\bevil",
    "carriage return": "bad\rgood",
    "line feed": "x\n2026-01-01T00:00:00Z [info ] all is well",
    "nul": "a\x00b",
    "zero width": "ad\u200bmin\ufeff",
    "lone surrogate": "\udcff\udc80",
    "tag characters": "a\U000e0041\U000e0042",
}


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("info", stream)
    yield stream
    structlog.reset_defaults()


def test_a_line_that_cannot_be_written_breaks_nothing(stream: io.StringIO) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    for broken in (Full(), stream):
        configure("info", broken)
        stream.close()
        get_logger("journal").error("the disk is full")


def is_inert(text: str) -> bool:
    return all(unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029" for c in text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_written_out(text: str, stream: io.StringIO) -> None:
    assert is_inert(inert(text))
    get_logger("sensor").info("login", user=text, raw=text.encode("utf-8", "surrogatepass"), nested={"user": [text]})
    output = stream.getvalue()
    assert output.endswith("\n")
    assert is_inert(output[:-1]), "one line, with nothing in it that a terminal obeys"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_libraries_log_is_written_out_too(text: str, stream: io.StringIO) -> None:
    logger = logging.getLogger("some.library")
    logger.info("not heard")
    try:
        raise ValueError(text)  # noqa: TRY301 - the traceback is what is logged
    except ValueError:
        logger.exception("it said %s", text)
    first, *trace = stream.getvalue().removesuffix("\n").split("\n")
    assert "[some.library]" in first
    assert is_inert(first)
    assert trace
    assert all(line.startswith("  ") and is_inert(line) for line in trace)


@given(st.text())
def test_inert_leaves_nothing_that_a_terminal_obeys_and_the_rest_alone(text: str) -> None:
    shown = inert(text)
    assert is_inert(shown)
    if is_inert(text):
        assert shown == text or any(unicodedata.category(c) == "Zs" for c in text)


def test_bytes_that_are_not_utf_8_are_shown(stream: io.StringIO) -> None:
    get_logger("sensor").info("login", user=b"\xff\xfe\x1b[0m")
    assert r"\xff\xfe\x1b[0m".replace("\\", "\\\\") in stream.getvalue() or r"\xff\xfe\x1b[0m" in stream.getvalue()


def test_rich_mark_up_stays_text(stream: io.StringIO) -> None:
    get_logger("sensor").info("login", user="[bold red]root[/] [link=http://evil.example]x[/link]")
    assert "[bold red]root[/] [link=http://evil.example]x[/link]" in stream.getvalue()


def test_very_long_text_is_cut_and_says_so(stream: io.StringIO) -> None:
    get_logger("sensor").info("login", user="x" * 100_000)
    assert len(stream.getvalue()) < 3_000
    assert "(100000 characters)" in stream.getvalue()


def test_an_exceptions_text_cannot_pass_for_a_log_line(stream: io.StringIO) -> None:
    error = LookupError(f"no such user: x\n2026-01-01T00:00:00Z [info     ] all is well\x1b[2J{'y' * 100_000}")
    get_logger("sensor").error("failed", exc_info=error)
    first, *rest = stream.getvalue().splitlines()
    assert "failed" in first
    assert "[sensor]" in first
    assert any("all is well" in line for line in rest)
    assert all(line.startswith("  ") and is_inert(line) and len(line) < 3_000 for line in rest)


def test_lines_below_the_level_are_left_out_and_lines_carry_their_logger(stream: io.StringIO) -> None:
    log = get_logger("rules", rule="r1")
    log.debug("hidden")
    log.warning("shown", rows=3, ratio=0.5, on=True, nothing=None)
    (line,) = stream.getvalue().splitlines()
    for part in ("warning", "shown", "[rules]", "rule=r1", "rows=3", "ratio=0.5", "on=True", "nothing=None"):
        assert part in line


def test_a_logger_made_before_configure_follows_it() -> None:
    early = get_logger("early")
    stream = io.StringIO()
    configure("error", stream)
    try:
        early.info("hidden")
        early.error("shown")
    finally:
        structlog.reset_defaults()
    assert "hidden" not in stream.getvalue()
    assert "shown" in stream.getvalue()
