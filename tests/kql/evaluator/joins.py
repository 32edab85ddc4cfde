"""join and lookup, by nested loops (https://learn.microsoft.com/kusto/query/join-operator, .../lookup-operator)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.kql import tree
from lurewire.kql.types import KqlType as K

from .expressions import widest
from .model import CHOICE, Relation, Row, Scope, in_any_order
from .pipeline import free_name, rows_of
from .values import NUMERIC, Refused, canonical, convert

if TYPE_CHECKING:
    from collections.abc import Callable


def _side(node: tree.Expression) -> tuple[str, str]:
    match node:
        case tree.Member(target=tree.Name(name="$left" | "$right" as side), name=name):
            return side, name
        case tree.Index(target=tree.Name(name="$left" | "$right" as side), index=tree.Literal(value=str(name))):
            return side, name
    raise Refused("a join condition of another form")


def _pairs(node: tree.Expression) -> list[tuple[str, str]]:
    match node:
        case tree.Parenthesis(inner=inner):
            return _pairs(inner)
        case tree.Name(name=name):
            return [(name, name)]
        case tree.Logic(operator="and", operands=operands):
            return [pair for operand in operands for pair in _pairs(operand)]
        case tree.Binary(operator="==", left=left, right=right):
            sides = dict((_side(left), _side(right)))
            return [(sides["$left"], sides["$right"])]
    raise Refused("a join condition of another form")


def _join(node: Any, rows: Relation, scope: Scope) -> Relation:  # noqa: C901 - one branch for each form that there is
    lookup = type(node).__name__ == "Lookup"
    right = rows_of(node.right, scope, None)
    if right is None:
        raise Refused("the right side of a join")
    pairs = [pair for condition in node.conditions for pair in _pairs(condition)]
    places = [(rows.place(one), right.place(other)) for one, other in pairs]
    kinds = [_common(rows.kinds[one], right.kinds[other]) for one, other in places]

    def key(side: Relation, row: Row, which: int) -> tuple[Any, ...]:
        values = ((row[pair[which]], side.kinds[pair[which]]) for pair in places)
        return tuple(
            canonical(convert(value, source, kind)) for (value, source), kind in zip(values, kinds, strict=True)
        )

    def matches(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
        # A null, and NaN, equal nothing.
        return one == other and not any(part[1:] == (None,) or part == ("nan",) for part in one)

    left_rows = [(key(rows, row, 0), row) for row in rows.rows]
    right_rows = [(key(right, row, 1), row) for row in right.rows]
    kind = node.kind
    if kind == "innerunique":
        if CHOICE.get():  # any row of a key may stand for it, sorted or not
            left_rows = in_any_order(left_rows)
        left_rows = list({found: (found, row) for found, row in reversed(left_rows)}.values())[::-1]
    if kind in ("leftsemi", "leftanti"):
        held = [
            row for one, row in left_rows if any(matches(one, other) for other, _ in right_rows) is (kind == "leftsemi")
        ]
        return rows.with_rows(held)
    if kind in ("rightsemi", "rightanti"):
        held = [
            row
            for one, row in right_rows
            if any(matches(other, one) for other, _ in left_rows) is (kind == "rightsemi")
        ]
        return right.with_rows(held)
    made: list[tuple[Row, Row]] = []
    empty_left, empty_right = _empty(rows), _empty(right)
    met: set[int] = set()
    for one, row in left_rows:
        found = [at for at, (other, _) in enumerate(right_rows) if matches(one, other)]
        met.update(found)
        made.extend((row, right_rows[at][1]) for at in found)
        if not found and kind in ("leftouter", "fullouter"):
            made.append((row, empty_right))
    if kind in ("rightouter", "fullouter"):
        made.extend((empty_left, row) for at, (_, row) in enumerate(right_rows) if at not in met)
    away = {other for _, other in places} if lookup else set()
    names, types = list(rows.names), list(rows.kinds)
    for place, name in enumerate(right.names):
        if place not in away:
            # A name of the right side that is not taken stays; the others get numbers that none of them has.
            others = [other for other in right.names if other != name]
            names.append(free_name([*names, *others], name) if name in names else name)
            types.append(right.kinds[place])
    wide = [(*one, *(value for place, value in enumerate(other) if place not in away)) for one, other in made]
    return Relation(names, types, wide)


def _empty(side: Relation) -> Row:
    return tuple("" if kind is K.STRING else None for kind in side.kinds)


def _common(one: K, other: K) -> K:
    if one is K.DYNAMIC or other is K.DYNAMIC:
        raise Refused("a dynamic join key")
    if one is other:
        return one
    if {one, other} <= set(NUMERIC):
        return widest(one, other)
    raise Refused(f"join keys of the types {one} and {other}")


JOINS: dict[str, Callable[[Any, Relation, Scope], Relation]] = {"Join": _join, "Lookup": _join}
