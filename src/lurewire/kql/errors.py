"""What is wrong with a query: kinds, codes, places.

The codes are those that Azure's query API returns (contract: Log Analytics query API, failed queries).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["syntax", "semantic", "unsupported", "limit", "execution"]

#: The query ended too early.
SYNTAX_END = "SYN0001"
#: The query could not be parsed at a token.
SYNTAX_TOKEN = "SYN0002"  # noqa: S105 - an error code
#: A name that is no column, table, function or let.
UNRESOLVED = "SEM0100"
#: A comparison of types that cannot be compared.
INCOMPARABLE = "SEM0064"
#: An argument, operand or option that does not fit.
ARGUMENT = "SEM0219"
#: A column name declared twice.
DUPLICATE = "SEM0022"
#: A reference to a pattern that has no such mapping.
PATTERN = "SEM0036"
#: A call of a function that does not exist.
UNKNOWN_FUNCTION = "SEM0260"
#: A construct of KQL that this engine does not have.
UNSUPPORTED = "LW0001"
#: A construct that a data collection rule's transformation may not use.
TRANSFORM = "LW0002"
#: A limit of this engine.
LIMIT = "LW0003"
#: The engine stopped while it ran the query.
EXECUTION = "LW0004"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong; `line` and `column` count from 1, in characters."""

    kind: Kind
    code: str
    message: str
    line: int
    column: int
    token: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.code} [{self.line},{self.column}]: {self.message}{hint}"


class KqlError(Exception):
    """A query that cannot be compiled or run, with everything that is wrong with it."""

    def __init__(self, errors: Iterable[Diagnostic]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class Problem(Exception):
    """One problem at an offset of the query text; the compiler turns it into a Diagnostic."""

    def __init__(
        self, kind: Kind, code: str, message: str, at: int, token: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.code = code
        self.message = message
        self.at = at
        self.token = token
        self.hint = hint


class Consequence(Problem):
    """A problem that only follows from another that is reported already."""

    def __init__(self, at: int) -> None:
        super().__init__("semantic", UNRESOLVED, "follows from another problem", at)


class UnresolvedSource(Problem):
    """A table or tabular function that is not there: a union with `isfuzzy=true` does without it."""

    def __init__(self, message: str, at: int, name: str, hint: str | None = None, code: str = UNRESOLVED) -> None:
        super().__init__("semantic", code, message, at, name, hint)


def unsupported(what: str, at: int, token: str | None = None) -> Problem:
    """A problem that names a construct of KQL that this engine does not have."""
    return Problem("unsupported", UNSUPPORTED, f"{what} is not supported", at, token)


def semantic(message: str, at: int, code: str = ARGUMENT, token: str | None = None, hint: str | None = None) -> Problem:
    """A semantic problem."""
    return Problem("semantic", code, message, at, token, hint)


def over_limit(message: str, at: int = 0) -> Problem:
    """A query beyond a limit of this engine."""
    return Problem("limit", LIMIT, message, at)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The hint at the known name that is nearest to `name`, if one is near."""
    names = list(known)[:5000]
    folded = {candidate.lower(): candidate for candidate in names}
    if name.lower() in folded:
        return f"did you mean '{folded[name.lower()]}'? Names are case-sensitive"
    found = difflib.get_close_matches(name[:200], names, n=1, cutoff=0.7)
    return f"did you mean '{found[0]}'?" if found else None


def locate(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset."""
    at = min(at, len(text))
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def diagnostic(problem: Problem, text: str) -> Diagnostic:
    """The problem with its place in `text`."""
    line, column = locate(text, problem.at)
    message = problem.message
    if problem.code == SYNTAX_TOKEN and problem.token is not None:
        message = f"Query could not be parsed at '{shorten(problem.token)}' on line [{line},{column}]: {message}"
    elif problem.code == SYNTAX_END:
        message = f"Query could not be parsed at the end of the query on line [{line},{column}]: {message}"
    token = None if problem.token is None else shorten(problem.token)
    return Diagnostic(problem.kind, problem.code, message, line, column, token, problem.hint)


def shorten(token: str) -> str:
    """A token as messages quote it: at most 80 characters."""
    return token if len(token) <= 80 else token[:77] + "..."
