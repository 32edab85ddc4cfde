"""String operators: terms, substrings and regular expressions.

Source: https://learn.microsoft.com/kusto/query/datatypes-string-operators and .../regex.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from .values import Refused

if TYPE_CHECKING:
    from collections.abc import Callable


def fold(text: str) -> str:
    """Lower case, each character by itself."""
    return "".join(low if len(low := character.lower()) == 1 else low[0] for character in text)


def _in_term(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place].isalnum()


def _found(text: str, needle: str, *, start: bool, end: bool) -> bool:
    """Whether the needle occurs where a term starts and ends, as far as its own ends are parts of terms."""
    if not needle:
        return True
    place = text.find(needle)
    while place >= 0:
        stop = place + len(needle)
        starts = not start or not needle[0].isalnum() or not _in_term(text, place - 1)
        ends = not end or not needle[-1].isalnum() or not _in_term(text, stop)
        if starts and ends:
            return True
        place = text.find(needle, place + 1)
    return False


_KINDS: dict[str, Callable[[str, str], bool]] = {
    "has": lambda text, needle: _found(text, needle, start=True, end=True),
    "hasprefix": lambda text, needle: _found(text, needle, start=True, end=False),
    "hassuffix": lambda text, needle: _found(text, needle, start=False, end=True),
    "contains": lambda text, needle: needle in text,
    "startswith": lambda text, needle: text.startswith(needle),
    "endswith": lambda text, needle: text.endswith(needle),
}


def text_operator(operator: str) -> Callable[[str, str], bool]:
    """The test that an operator such as `!has_cs` makes of subject and needle."""
    if operator in ("=~", "!~"):
        return lambda text, needle: (fold(text) == fold(needle)) is (operator == "=~")
    if operator == "matches regex":
        return lambda text, needle: pattern(needle).search(text) is not None
    negated = operator.startswith("!")
    word = operator.removeprefix("!")
    kind = _KINDS[word.removesuffix("_cs")]
    if word.endswith("_cs"):
        return lambda text, needle: kind(text, needle) is not negated
    return lambda text, needle: kind(fold(text), fold(needle)) is not negated


@lru_cache(maxsize=1000)
def pattern(expression: str) -> re.Pattern[str]:
    """An RE2 expression for Python, where both mean the same; what Python reads otherwise is refused."""
    if re.search(r"\\[pPzCQEx]|\[\[:|\(\?[a-zA-Z]*U|\(\?=|\(\?!|\(\?<[=!]|\\[1-9]|\(\?P=|[*+?}]\+", expression):
        raise Refused(f"the regular expression {expression!r}")
    flags = re.match(r"^\(\?([ims]+)\)", expression)
    body = expression[flags.end() :] if flags else expression
    if re.search(r"\(\?[imsU-]+\)", body):
        raise Refused(f"flags inside of the regular expression {expression!r}")
    chosen = re.ASCII
    for flag in flags[1] if flags else "":
        chosen |= {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}[flag]
    if chosen & re.IGNORECASE:
        chosen &= ~re.ASCII
        if re.search(r"\\[wWdDsSbB]", body) and not body.isascii():
            raise Refused(f"the regular expression {expression!r}")
    # RE2's $ is the end of the text only; Python's would match before a last line break too.
    if not chosen & re.MULTILINE:
        body = re.sub(r"(?<!\\)((?:\\\\)*)\$(?![^\[]*\])", r"\1\\Z", body)
    try:
        return re.compile(body, chosen)
    except re.error as error:
        raise Refused(f"the regular expression {expression!r}") from error
