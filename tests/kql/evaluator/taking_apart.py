"""Operators that take values apart: mv-expand, mv-apply, parse, parse-where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire.kql import tree
from lurewire.kql.naming import result_name
from lurewire.kql.types import Column
from lurewire.kql.types import KqlType as K

from .expressions import Binder, to
from .model import Relation, Row, Scope
from .pipeline import cursors, free_name, run_pipeline, unnamed
from .terms import pattern
from .values import Refused, convert, to_text

if TYPE_CHECKING:
    from collections.abc import Callable


def _elements(value: Any, *, pairs: bool) -> list[Any]:
    if value is None:
        return [None]
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [[key, part] if pairs else {key: part} for key, part in value.items()]
    return [value]


def _typed(value: Any, kind: K) -> Any:
    """An element as the type of `to typeof()`: a cast, no conversion; what would need one is refused."""
    if value is None:
        return "" if kind is K.STRING else None
    if kind is K.DYNAMIC:
        return value
    text_like = kind in (K.DATETIME, K.TIMESPAN, K.GUID)
    fits = {
        K.BOOL: isinstance(value, bool),
        K.STRING: isinstance(value, str),
        K.REAL: isinstance(value, int | float) and not isinstance(value, bool),
    }.get(kind, isinstance(value, str) if text_like else isinstance(value, int) and not isinstance(value, bool))
    if not fits:
        raise Refused(f"mv-expand of {value!r} to {kind}")
    return convert(value, K.DYNAMIC, kind)


class _Expansion:
    """What is expanded, under which names, in place of which columns."""

    def __init__(self, node: Any, rows: Relation, scope: Scope) -> None:
        binder = Binder(scope, rows)
        self.items = []
        self.names: list[str] = []
        for item in node.items:
            expression = item.value.value if isinstance(item.value, tree.Named) else item.value
            value = binder.bind(expression)
            if value.kind is not K.DYNAMIC:
                raise Refused(f"the expansion of {value.kind}")
            name = item.value.names[0] if isinstance(item.value, tree.Named) else result_name(expression)
            self.names.append(name or unnamed([*rows.names, *self.names]))
            self.items.append((value, item.type or K.DYNAMIC))
        self.index = node.index
        self.pairs = getattr(node, "pairs", False)
        self.limit = node.limit

    def of(self, row: Any) -> list[Row]:
        """The rows of elements that a row gives: one value for each item, then the index."""
        found = [_elements(value.of(row), pairs=self.pairs) for value, _ in self.items]
        size = max(len(elements) for elements in found)
        made = []
        for at in range(size if self.limit is None else min(size, self.limit)):
            cells = [
                _typed(elements[at] if at < len(elements) else None, kind)
                for elements, (_, kind) in zip(found, self.items, strict=True)
            ]
            made.append((*cells, at))
        return made

    def columns(self, rows: Relation) -> tuple[list[str], list[K]]:
        names, kinds = list(rows.names), list(rows.kinds)
        pairs = [(name, kind) for name, (_, kind) in zip(self.names, self.items, strict=True)]
        for name, kind in [*pairs, *([(self.index, K.LONG)] if self.index else [])]:
            if name in names:
                kinds[names.index(name)] = kind
            else:
                names.append(name)
                kinds.append(kind)
        return names, kinds

    def row(self, names: list[str], rows: Relation, row: Row, cells: Row) -> Row:
        """A row of the columns of `columns`."""
        values = dict(zip(rows.names, row, strict=True)) | dict(zip(self.names, cells, strict=False))
        if self.index:
            values[self.index] = cells[-1]
        return tuple(values[name] for name in names)


def _expand(node: Any, rows: Relation, scope: Scope) -> Relation:
    expansion = _Expansion(node, rows, scope)
    names, kinds = expansion.columns(rows)
    made, ranks = [], []
    for row in cursors(rows):
        for cells in expansion.of(row):
            made.append(expansion.row(names, rows, row.values, cells))
            ranks.append(rows.ranks[row.at] if rows.ranks is not None else 0)
    return Relation(names, kinds, made, ranks if rows.ranks is not None else None)


def _apply(node: Any, rows: Relation, scope: Scope) -> Relation:
    expansion = _Expansion(node, rows, scope)
    names, kinds = expansion.columns(rows)
    here = "\0here"
    made: list[Row] = []
    shape: tuple[list[str], list[K]] | None = None
    outer = [name for name in rows.names if name not in expansion.names]

    def inner_rows(row: Row, elements: list[Row]) -> Relation:
        inner = scope.inner()
        inner.relations[here] = Relation(names, kinds, [expansion.row(names, rows, row, cells) for cells in elements])
        return run_pipeline(tree.Pipeline(node.at, tree.Name(node.at, here), node.operators), inner)

    summarized = any(type(operator).__name__ in ("Summarize", "Count", "Distinct") for operator in node.operators)
    for row in cursors(rows):
        elements = expansion.of(row)
        if not elements and summarized:
            raise Refused("mv-apply of nothing into an aggregate")
        found = inner_rows(row.values, elements)
        # Columns of the input that the inner operators pass on are not there twice.
        new = [place for place, name in enumerate(found.names) if name not in outer]
        if summarized and any(name in outer for name in found.names):
            raise Refused("mv-apply that groups by a column of the row")
        kept = [rows.place(name) for name in outer]
        order = [*outer, *(found.names[place] for place in new)]
        shape = (order, [*(rows.kinds[at] for at in kept), *(found.kinds[at] for at in new)])
        for part in found.rows:
            if not summarized:
                given = dict(zip(found.names, part, strict=True))
                if any(name in given and given[name] != row.values[rows.place(name)] for name in outer):
                    raise Refused("mv-apply that changes a column of the row")
            made.append((*(row.values[at] for at in kept), *(part[at] for at in new)))
    if shape is None:
        found = inner_rows(_nulls(rows), [])
        new = [place for place, name in enumerate(found.names) if name not in outer]
        shape = (
            [*outer, *(found.names[place] for place in new)],
            [*(rows.kinds[rows.place(name)] for name in outer), *(found.kinds[at] for at in new)],
        )
    places = {name: at for at, name in enumerate(rows.names)}
    arranged = sorted(range(len(shape[0])), key=lambda at: places.get(shape[0][at], len(places)))
    in_order = [tuple(row[at] for at in arranged) for row in made]
    return Relation([shape[0][at] for at in arranged], [shape[1][at] for at in arranged], in_order)


def _nulls(rows: Relation) -> Row:
    return tuple("" if kind is K.STRING else None for kind in rows.kinds)


# parse

_SHAPES = {
    K.INT: r"[+-]?\d+",
    K.LONG: r"[+-]?\d+",
    K.REAL: r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?",
}


def _parse(node: Any, rows: Relation, scope: Scope) -> Relation:  # noqa: C901 - one branch for each form that there is
    if node.kind == "regex":
        raise Refused("parse kind=regex")
    subject = to(Binder(scope, rows).bind(node.subject), K.STRING)
    columns = [piece for piece in node.pieces if isinstance(piece, Column)]
    parts = ["(?s)^"]
    for place, piece in enumerate(node.pieces):
        last = place == len(node.pieces) - 1
        if piece is None:
            parts.append("" if last else ".*?")
        elif isinstance(piece, str):
            parts.append(re.escape(piece).replace("\\ ", " "))
        else:
            if node.kind == "relaxed" and piece.type is not K.STRING:
                raise Refused("parse kind=relaxed with types")
            parts.append(f"({_SHAPES.get(piece.type, '.*?')})" + ("$" if last else ""))
    expression = pattern("".join(parts))
    names, kinds = list(rows.names), list(rows.kinds)
    for column in columns:
        if column.name in names:
            kinds[names.index(column.name)] = column.type
        else:
            names.append(column.name)
            kinds.append(column.type)
    made: list[Row] = []
    ranks = []
    for row in cursors(rows):
        found = expression.match(subject.of(row))
        values = [
            convert(text, K.STRING, column.type)
            for text, column in zip(found.groups() if found else (), columns, strict=False)
        ]
        fits = found is not None and None not in values
        if not fits:
            if type(node).__name__ == "ParseWhere":
                continue
            values = ["" if column.type is K.STRING else None for column in columns]
        held = dict(zip(rows.names, row.values, strict=True))
        held |= {column.name: value for column, value in zip(columns, values, strict=True)}
        made.append(tuple(held[name] for name in names))
        ranks.append(0 if rows.ranks is None else rows.ranks[row.at])
    return Relation(names, kinds, made, None if rows.ranks is None else ranks)


TAKING_APART: dict[str, Callable[[Any, Relation, Scope], Relation]] = {
    "Expand": _expand,
    "Apply": _apply,
    "Parse": _parse,
    "ParseWhere": _parse,
}
__all__ = ["TAKING_APART", "free_name", "to_text"]
