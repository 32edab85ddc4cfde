"""Saved functions: their text to the tree of a function, and their problems to the place of the call.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/functions. A saved function sees the catalogue's tables and
functions and nothing of the query that calls it; one of another workspace sees that one's.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from .errors import (
    SYNTAX_TOKEN,
    Consequence,
    KqlError,
    Problem,
    UnresolvedSource,
    diagnostic,
    locate,
    over_limit,
    semantic,
)
from .limits import QUERY_LENGTH
from .scope import Names, UserFunction
from .types import FunctionCatalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import tree
    from .scope import Context, Elsewhere
    from .types import Catalog, SavedFunction

_KEPT = 512


def load(name: str, catalog: Catalog, home: Elsewhere | None, context: Context) -> UserFunction | None:
    """The catalogue's function of that name; raises Problem where its text does not parse."""
    if context.profile.tables is not None or not isinstance(catalog, FunctionCatalog):
        return None
    saved = catalog.function(name)
    if saved is None:
        return None
    definition, text = _parsed(saved)
    context.texts.append(text)
    return UserFunction(definition, Names(home=home), text)


@lru_cache(_KEPT)
def _parsed(saved: SavedFunction) -> tuple[tree.Lambda, str]:
    from .operators import OPERATORS, SOURCES  # noqa: PLC0415 - operators know the scope, which loads functions
    from .parser import Parser  # noqa: PLC0415 - as above

    text = f"({saved.parameters}) {{\n{saved.body}\n}}"
    parser = Parser(text, OPERATORS, SOURCES)
    try:
        definition = parser.function()
    except Problem as problem:
        raise _moved(problem, saved.name, text, 0) from None
    return definition, text


def check_function(saved: SavedFunction) -> None:
    """Raises KqlError where the text of a saved function does not parse; what it names is looked up when it is called."""
    text = f"{saved.parameters}\n{saved.body}"
    if len(text) > QUERY_LENGTH.value:
        raise KqlError([diagnostic(over_limit(f"it is longer than {QUERY_LENGTH.value} characters"), "")])
    try:
        _parsed(saved)
    except Problem as problem:
        raise KqlError([diagnostic(problem, "")]) from None
    except RecursionError:
        raise KqlError([diagnostic(over_limit("the function nests too deeply"), "")]) from None


def refuse_recursion(name: str, function: UserFunction, context: Context, at: int) -> None:
    """Raises Problem where a saved function is called while it is being bound, or is known to call itself."""
    title = function.title(name)
    if function.text is None:
        return
    if title in context.calling:
        ring = context.calling[context.calling.index(title) :]
        context.recursive.update(ring)
        chain = " -> ".join([*ring, title])
        raise semantic(f"the function '{title}' calls itself ({chain}): recursion is not allowed", at, token=name)
    if title in context.recursive:
        # Functions that all call each other have more ways through them than can be walked.
        raise semantic(f"the function '{title}' calls itself: recursion is not allowed", at, token=name)


@contextmanager
def inside(name: str, function: UserFunction, context: Context, at: int) -> Iterator[None]:
    """Binds a function's body; a saved one's problems are told at the call, with their place in the function."""
    if function.text is None:
        yield
        return
    refuse_recursion(name, function, context, at)
    title = function.title(name)
    context.calling.append(title)
    known = len(context.problems)
    try:
        yield
    except Problem as problem:
        if isinstance(problem, Consequence):
            raise Consequence(at) from None
        raise _moved(problem, title, function.text, at) from None
    finally:
        context.calling.pop()
        context.problems[known:] = [_moved(problem, title, function.text, at) for problem in context.problems[known:]]


def _moved(problem: Problem, name: str, text: str, at: int) -> Problem:
    """The problem at the call; the text has one line before the function's own."""
    line, column = locate(text, problem.at)
    place = f"line {line - 1}, column {column}" if line > 1 else "its parameters"
    message = f"in the function '{name}' ({place}): {problem.message}"
    if isinstance(problem, UnresolvedSource):
        return UnresolvedSource(message, at, problem.token or name, problem.hint, problem.code)
    if problem.kind == "syntax":
        return Problem("syntax", SYNTAX_TOKEN, message, at)
    return Problem(problem.kind, problem.code, message, at, problem.token, problem.hint)
