"""Calls of functions: those of the table, those that need more than values, and those of let statements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lurewire.kql import tree
from lurewire.kql.types import TYPE_NAMES
from lurewire.kql.types import KqlType as K

from . import functions_dynamic, functions_network, functions_number, functions_text, functions_time
from .expressions import common, step, to, widest
from .model import NOWHERE, Cursor, Expr, Relation, constant
from .table import FUNCTIONS, LETTERS, Function
from .terms import pattern
from .values import (
    NUMERIC,
    WHOLE,
    Refused,
    canonical,
    checked_bin,
    convert,
    in_years,
    parse_json,
    to_dynamic,
    to_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .expressions import Binder

assert functions_dynamic
assert functions_network
assert functions_text
assert functions_time


def call(binder: Binder, node: tree.Call) -> Expr:
    """The value of a call."""
    from .aggregates import AGGREGATES, aggregate

    if node.name in binder.scope.functions:
        return _user_function(binder, node)
    if binder.keys is not None and node.name in AGGREGATES:
        assert binder.relation is not None
        return aggregate(binder.scope, binder.relation, node)
    special = _SPECIAL.get(node.name)
    if special is not None:
        return special(binder, node)
    known = FUNCTIONS.get(node.name)
    if known is None:
        raise Refused(f"the function {node.name}")
    return _plain(known, [binder.bind(argument) for argument in node.arguments])


def _plain(known: Function, arguments: list[Expr]) -> Expr:
    letters, _, rest = known.parameters.partition("?")
    letters, repeated = (letters + rest).rstrip("*"), known.parameters.endswith("*")
    least = len(known.parameters.partition("?")[0].rstrip("*")) - (1 if repeated else 0)
    if len(arguments) < least or (len(arguments) > len(letters) and not repeated):
        raise Refused(f"{known.name}() with {len(arguments)} arguments")
    given = []
    for place, argument in enumerate(arguments):
        letter = letters[min(place, len(letters) - 1)]
        given.append(argument if letter == "a" else _converted(argument, LETTERS[letter], known.name))
    kind = arguments[known.result].kind if not isinstance(known.result, K) else known.result

    def value(row: Cursor) -> Any:
        found = [argument.of(row) for argument in given]
        if not known.nulls and None in found:
            return "" if kind is K.STRING else None
        if known.typed:
            return known.work(*((part, argument.kind) for part, argument in zip(found, given, strict=True)))
        return known.work(*found)

    return Expr(kind, value, all(argument.constant for argument in given))


def _converted(argument: Expr, kind: K, name: str) -> Expr:
    """An argument as its parameter's type: numbers widen, a dynamic value converts; nothing else does."""
    if argument.kind is kind or argument.kind is K.DYNAMIC:
        return to(argument, kind)
    if (argument.kind in WHOLE and kind in (K.LONG, K.REAL)) or (argument.kind is K.INT and kind is K.LONG):
        return to(argument, kind)
    if kind is K.DYNAMIC and argument.constant and argument.value is None:
        return constant(K.DYNAMIC, None)
    raise Refused(f"{name}() of {argument.kind}")


# Functions of let statements


def bound_scope(binder: Binder, node: tree.Call) -> tuple[tree.Lambda, Any]:
    """A function's definition and the scope of its body, its arguments in place."""
    from .pipeline import rows_of, run_let

    definition, scope = binder.scope.functions[node.name]
    inner = scope.inner()
    given: dict[str, tree.Expression] = {}
    for place, argument in enumerate(node.arguments):
        if isinstance(argument, tree.Named):
            given[argument.names[0]] = argument.value
        else:
            given[definition.parameters[place].name] = argument
    for parameter in definition.parameters:
        inner.forget(parameter.name)
        value = given.get(parameter.name, parameter.default)
        if value is None:
            raise Refused(f"{node.name}() without {parameter.name}")
        if parameter.type is None:
            rows = rows_of(value, binder.scope, binder.relation)
            if rows is None:
                raise Refused(f"the table {parameter.name}")
            inner.relations[parameter.name] = rows
        else:
            inner.scalars[parameter.name] = to(binder.bind(value), parameter.type)
    for let in definition.lets:
        run_let(let, inner)
    return definition, inner


def _user_function(binder: Binder, node: tree.Call) -> Expr:
    from .expressions import Binder as Inner

    definition, scope = bound_scope(binder, node)
    if isinstance(definition.body, tree.Pipeline):
        raise Refused(f"the table {node.name}() as a value")
    return Inner(scope, None).bind(definition.body)


# Special forms


def _branch_kind(kinds: set[K]) -> K:
    """The type of all branches but the dynamic ones; dynamic where those differ."""
    typed = kinds - {K.DYNAMIC}
    if len(typed) == 1:
        return typed.pop()
    return widest(*typed) if typed and typed <= set(NUMERIC) else K.DYNAMIC


def _branches(binder: Binder, tests: list[tree.Expression], values: list[tree.Expression]) -> Expr:
    predicates = [binder.truth(test) for test in tests]
    bound = [binder.bind(value) for value in values]
    kind = _branch_kind({value.kind for value in bound})
    parts = [to(value, kind).of for value in bound]

    def value(row: Cursor) -> Any:
        for predicate, part in zip(predicates, parts, strict=False):
            if predicate(row):
                return part(row)
        return parts[-1](row)

    return Expr(kind, value, all(part.constant for part in bound) and not tests)


def _iff(binder: Binder, node: tree.Call) -> Expr:
    test, yes, no = node.arguments
    return _branches(binder, [test], [yes, no])


def _case(binder: Binder, node: tree.Call) -> Expr:
    *pairs, last = node.arguments
    return _branches(binder, list(pairs[::2]), [*pairs[1::2], last])


def _coalesce(binder: Binder, node: tree.Call) -> Expr:
    bound = [binder.bind(argument) for argument in node.arguments]
    if bound[0].kind is K.DYNAMIC:
        raise Refused("coalesce() of dynamic values")
    kind = common([value.kind for value in bound if value.kind is not K.DYNAMIC])
    parts = [to(value, kind).of for value in bound]

    def value(row: Cursor) -> Any:
        found: Any = None
        for part in parts:
            found = part(row)
            if found is not None and found != "":
                return found
        return found if kind is K.STRING else None

    return Expr(kind, value)


def _extreme(sign: int) -> Callable[[Binder, tree.Call], Expr]:
    def extreme(binder: Binder, node: tree.Call) -> Expr:
        bound = [binder.bind(argument) for argument in node.arguments]
        kind = common([value.kind for value in bound])
        if kind in (K.STRING, K.DYNAMIC, K.GUID, K.BOOL, K.DECIMAL):
            raise Refused(f"{node.name}() of {kind}")
        parts = [to(value, kind).of for value in bound]

        def value(row: Cursor) -> Any:
            found = [item for part in parts if (item := part(row)) is not None]
            if any(isinstance(item, float) and math.isnan(item) for item in found):
                raise Refused(f"{node.name}() with NaN")
            return (min if sign < 0 else max)(found) if found else None

        return Expr(kind, value)

    return extreme


def _conversion(kind: K) -> Callable[[Binder, tree.Call], Expr]:
    def conversion(binder: Binder, node: tree.Call) -> Expr:
        if len(node.arguments) != 1:
            raise Refused(f"{node.name}() with a type")
        return to(binder.bind(node.arguments[0]), kind)

    return conversion


def _parse_json(binder: Binder, node: tree.Call) -> Expr:
    value = binder.bind(node.arguments[0])
    if value.kind is K.DYNAMIC:
        return value
    if value.kind is not K.STRING:
        return to(value, K.DYNAMIC)
    return Expr(K.DYNAMIC, lambda row: parse_json(value.of(row)), value.constant)


def _isnull(wanted: bool) -> Callable[[Binder, tree.Call], Expr]:
    def test(binder: Binder, node: tree.Call) -> Expr:
        value = binder.bind(node.arguments[0])
        return Expr(K.BOOL, lambda row: (value.of(row) is None) is wanted)

    return test


def _bin(binder: Binder, node: tree.Call) -> Expr:
    value = binder.bind(node.arguments[0])
    size = binder.bind(node.arguments[1]) if len(node.arguments) > 1 else constant(K.LONG, 1)
    origin = binder.bind(node.arguments[2]) if len(node.arguments) > 2 else None
    if len(node.arguments) == 1 and value.kind is not K.REAL:
        raise Refused(f"{node.name}() of {value.kind}")
    if value.kind is K.DYNAMIC:
        value = to(value, K.DATETIME if size.kind is K.TIMESPAN else K.REAL)
    kind = value.kind
    if kind in NUMERIC and size.kind in NUMERIC:
        kind = widest(K.LONG, value.kind, size.kind) if value.kind is not K.INT or size.kind is not K.INT else K.LONG
        value, size = to(value, kind), to(size, kind)
        origin = None if origin is None else to(origin, kind)
    elif kind in (K.DATETIME, K.TIMESPAN) and size.kind is not K.TIMESPAN:
        raise Refused(f"bin() of {kind} by {size.kind}")

    def found(row: Cursor) -> Any:
        x, width, start = value.of(row), size.of(row), 0 if origin is None else origin.of(row)
        if x is None or width is None or start is None:
            return None
        at = checked_bin(x, width, start)
        return in_years(at) if kind is K.DATETIME else at

    return Expr(kind, found, value.constant and size.constant)


def _now(binder: Binder, node: tree.Call) -> Expr:
    shift = binder.bind(node.arguments[0]).value if node.arguments else 0
    return constant(K.DATETIME, binder.scope.now + shift)


def _ago(binder: Binder, node: tree.Call) -> Expr:
    span = binder.bind(node.arguments[0])
    if span.kind is not K.TIMESPAN:
        raise Refused(f"ago() of {span.kind}")
    now = binder.scope.now
    return Expr(
        K.DATETIME, lambda row: None if (found := span.of(row)) is None else in_years(now - found), span.constant
    )


def _extract(binder: Binder, node: tree.Call) -> Expr:
    expression, group, text = (binder.bind(argument) for argument in node.arguments[:3])
    kind = K.STRING
    if len(node.arguments) > 3:
        wanted = node.arguments[3]
        if not isinstance(wanted, tree.Call) or not isinstance(wanted.arguments[0], tree.Name):
            raise Refused("extract() with a type")
        kind = TYPE_NAMES[wanted.arguments[0].name]
    if group.kind not in WHOLE:
        raise Refused("extract() with a group by name")
    source = to(text, K.STRING).of

    def value(row: Cursor) -> Any:
        found = pattern(expression.of(row)).search(source(row))
        number = group.of(row)
        if found is not None and number > found.re.groups:
            raise Refused("extract() of a group that is not there")
        return convert("" if found is None else found[number] or "", K.STRING, kind)

    return Expr(kind, value)


def _toscalar(binder: Binder, node: tree.Call) -> Expr:
    from .pipeline import rows_of

    rows = rows_of(node.arguments[0], binder.scope, None)
    if rows is None:
        return binder.bind(node.arguments[0])
    kind = rows.kinds[0]
    return constant(kind, rows.rows[0][0] if rows.rows else None)


def _column_if_exists(binder: Binder, node: tree.Call) -> Expr:
    name = binder.bind(node.arguments[0]).value
    if binder.relation is not None and name in binder.relation.names:
        return binder.bind(tree.Name(node.at, name))
    return binder.bind(node.arguments[1])


def _pack_all(binder: Binder, node: tree.Call) -> Expr:
    relation = binder.relation
    if relation is None or node.arguments:
        raise Refused("pack_all() with an argument")
    return Expr(K.DYNAMIC, lambda row: _bag(relation, row))


def _bag(relation: Relation, row: Cursor) -> dict[str, Any]:
    return {
        name: to_dynamic(value, kind)
        for name, kind, value in zip(relation.names, relation.kinds, row.values, strict=True)
    }


def _range(binder: Binder, node: tree.Call) -> Expr:
    start, stop = binder.bind(node.arguments[0]), binder.bind(node.arguments[1])
    width = binder.bind(node.arguments[2]) if len(node.arguments) > 2 else constant(K.LONG, 1)
    if not {start.kind, stop.kind, width.kind} <= set(WHOLE):
        raise Refused("range() of more than whole numbers")

    def value(row: Cursor) -> list[int] | None:
        low, high, by = start.of(row), stop.of(row), width.of(row)
        if low is None or high is None or by is None:
            return None
        if by <= 0 or (high - low) // by > 10_000:
            raise Refused("range() downwards, or a long one")
        return list(range(low, high + 1, by))

    return Expr(K.DYNAMIC, value)


def _neighbour(sign: int) -> Callable[[Binder, tree.Call], Expr]:
    def neighbour(binder: Binder, node: tree.Call) -> Expr:
        value = binder.bind(node.arguments[0])
        offset = binder.bind(node.arguments[1]).value if len(node.arguments) > 1 else 1
        default = (
            to(binder.bind(node.arguments[2]), value.kind) if len(node.arguments) > 2 else constant(value.kind, None)
        )

        def found(row: Cursor) -> Any:
            at = row.at + sign * offset
            return value.of(row.moved(at)) if 0 <= at < len(row.rows) else default.of(row)

        return Expr(value.kind, found)

    return neighbour


def _row_number(binder: Binder, node: tree.Call) -> Expr:
    start = binder.bind(node.arguments[0]).value if node.arguments else 1
    restart = binder.truth(node.arguments[1]) if len(node.arguments) > 1 else lambda _: False

    def value(row: Cursor) -> int:
        begun = next((at for at in range(row.at, 0, -1) if restart(row.moved(at))), 0)
        return int(start) + row.at - begun

    return Expr(K.LONG, value)


def _cumulated(binder: Binder, node: tree.Call) -> Expr:
    term = binder.bind(node.arguments[0])
    restart = binder.truth(node.arguments[1]) if len(node.arguments) > 1 else lambda _: False

    def value(row: Cursor) -> Any:
        begun = next((at for at in range(row.at, 0, -1) if restart(row.moved(at))), 0)
        return sum(term.of(row.moved(at)) or 0 for at in range(begun, row.at + 1))

    if term.kind not in (*WHOLE, K.REAL):
        raise Refused(f"row_cumsum() of {term.kind}")
    return Expr(term.kind if term.kind is not K.INT else K.LONG, value)


def _own_type(work: Callable[[tuple[Any, K]], Any], kind_of: Callable[[K], K]) -> Callable[[Binder, tree.Call], Expr]:
    def bound(binder: Binder, node: tree.Call) -> Expr:
        value = binder.bind(node.arguments[0])
        if value.kind is K.DYNAMIC:
            value = to(value, K.REAL)
        kind = kind_of(value.kind)
        return Expr(kind, lambda row: None if (found := value.of(row)) is None else work((found, value.kind)))

    return bound


def _array_iff(binder: Binder, node: tree.Call) -> Expr:
    test, yes, no = (binder.bind(argument) for argument in node.arguments)

    def value(row: Cursor) -> Any:
        flags, one, other = test.of(row), yes.of(row), no.of(row)
        if not isinstance(flags, list) or any(not isinstance(flag, bool) for flag in flags):
            raise Refused("array_iff() of more than an array of bools")
        return [step(one if flag else other, place) for place, flag in enumerate(flags)]

    if yes.kind is not K.DYNAMIC or no.kind is not K.DYNAMIC:
        raise Refused("array_iff() of scalars")
    return Expr(K.DYNAMIC, value)


_SPECIAL: dict[str, Callable[[Binder, tree.Call], Expr]] = {
    "iff": _iff,
    "iif": _iff,
    "case": _case,
    "coalesce": _coalesce,
    "min_of": _extreme(-1),
    "max_of": _extreme(1),
    "tostring": _conversion(K.STRING),
    "toint": _conversion(K.INT),
    "tolong": _conversion(K.LONG),
    "toreal": _conversion(K.REAL),
    "todouble": _conversion(K.REAL),
    "tobool": _conversion(K.BOOL),
    "toboolean": _conversion(K.BOOL),
    "todatetime": _conversion(K.DATETIME),
    "totimespan": _conversion(K.TIMESPAN),
    "toguid": _conversion(K.GUID),
    "parse_json": _parse_json,
    "parsejson": _parse_json,
    "todynamic": _parse_json,
    "toobject": _parse_json,
    "isnull": _isnull(True),
    "isnotnull": _isnull(False),
    "notnull": _isnull(False),
    "bin": _bin,
    "floor": _bin,
    "bin_at": _bin,
    "now": _now,
    "ago": _ago,
    "extract": _extract,
    "toscalar": _toscalar,
    "column_ifexists": _column_if_exists,
    "columnifexists": _column_if_exists,
    "pack_all": _pack_all,
    "range": _range,
    "prev": _neighbour(-1),
    "next": _neighbour(1),
    "row_number": _row_number,
    "row_cumsum": _cumulated,
    "abs": _own_type(functions_number.ABS, lambda kind: K.LONG if kind is K.INT else kind),
    "sign": _own_type(functions_number.SIGN, lambda _: K.REAL),
    "array_iff": _array_iff,
    "array_iif": _array_iff,
}

SUPPORTED = frozenset({*_SPECIAL, *FUNCTIONS})
__all__ = ["NOWHERE", "SUPPORTED", "call", "canonical", "to_text"]
