"""A saved function's body read alone: what stands for its parameters.

What a file's functions are, `lurewire.kql.functions_of` and `of_saved_search` say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lurewire.kql import TYPE_NAMES, KqlType, SavedFunction, functions_of, of_saved_search

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


def prefix_of(node: Mapping[str, Any]) -> str:
    """Let statements for the parameters of the function that these properties are; empty where they are not one."""
    try:
        own = own_functions(node)
    except ValueError:
        return ""
    return scalar_lets(own[0].parameters) if own else ""


def scalar_lets(parameters: str) -> str:
    """Let statements that give each parameter a null of its type, so that a function's body can be read alone.

    A parameter that is a table with known columns is an empty one; one with any columns is left unresolved.
    """
    return "".join(_let(name, kind) for name, kind in _split(parameters))


def _let(name: str, kind: str) -> str:
    if kind.startswith("("):
        return "" if "*" in kind else f"let {name} = datatable{kind}[];"
    if TYPE_NAMES.get(kind.lower()) is KqlType.STRING:
        return f"let {name} = '';"
    return f"let {name} = {kind}(null);"


def _split(parameters: str) -> Iterator[tuple[str, str]]:
    """Name and type of each parameter: what is between commas that stand in no parentheses and no quotes."""
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
            kind = rest.strip()
            yield name.strip(), kind if kind.startswith("(") else kind.partition("=")[0].strip()
