"""A saved function's body read alone, and a function called alone: what stands for its parameters.

What a file's functions are, `lurewire.kql.functions_of` and `of_saved_search` say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lurewire.kql import TYPE_NAMES, KqlType, SavedFunction, functions_of, of_saved_search

_ANY_TABLE = "(*)"
_PARSER_QUERIES = frozenset({"parserquery", "functionquery"})


def functions_in(node: Any) -> Iterator[SavedFunction]:
    """The functions of a document, in whatever depth; raises ValueError where one lacks a part."""
    if isinstance(node, list):
        for item in node:
            yield from functions_in(item)
    elif isinstance(node, Mapping):
        own = own_functions(node)
        yield from own
        for value in () if own else node.values():
            yield from functions_in(value)


def own_functions(node: Mapping[str, Any]) -> list[SavedFunction]:
    """The functions that a parser's document or a saved search's properties are; none where they are of another kind."""
    keys = {str(key).lower() for key in node}
    if not keys.isdisjoint(_PARSER_QUERIES):
        return functions_of(node)
    function = of_saved_search(node) if {"functionalias", "query"} <= keys else None
    return [] if function is None else [function]


def call_of(function: SavedFunction) -> str:
    """A call of the function that gives an empty value, or an empty table, to each parameter without a default."""
    parameters = list(_split(function.parameters))
    needed = max((place for place, (_, _, optional) in enumerate(parameters, 1) if not optional), default=0)
    return f"{function.name}({', '.join(_empty(kind) for _, kind, _ in parameters[:needed])})"


def scalar_lets(parameters: str) -> str:
    """Let statements that give each parameter a null of its type, so that a function's body can be read alone.

    A parameter that is a table with known columns is an empty one; one with any columns is left unresolved.
    """
    return "".join(f"let {name} = {_empty(kind)};" for name, kind, _ in _split(parameters) if kind != _ANY_TABLE)


def _empty(kind: str) -> str:
    """The empty value of a type as KQL; a table of any columns has the one that every table of a workspace has."""
    if kind == _ANY_TABLE:
        return "datatable(TimeGenerated: datetime)[]"
    if kind.startswith("("):
        return f"datatable{kind}[]"
    return "''" if TYPE_NAMES.get(kind.lower()) is KqlType.STRING else f"{kind}(null)"


def _split(parameters: str) -> Iterator[tuple[str, str, bool]]:
    """Name and type of each parameter, and whether it has a default: what is between commas in no parentheses or quotes."""
    depth, quote, start = 0, "", 0
    parts = []
    for at, character in enumerate(parameters):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(parameters[start:at])
            start = at + 1
    for part in (*parts, parameters[start:]):
        name, colon, rest = part.partition(":")
        if colon:
            kind, default, _ = rest.partition("=")
            kind = kind.strip()
            any_table = kind.startswith("(") and "*" in kind
            yield name.strip(), _ANY_TABLE if any_table else kind, bool(default)
