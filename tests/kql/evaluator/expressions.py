"""Trees of scalar expressions to typed functions of a row.

The rules are those of https://learn.microsoft.com/kusto/query/numerical-operators, .../logical-operators,
.../scalar-data-types/null-values and .../scalar-data-types/dynamic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType as K

from .model import Cursor, Expr, Relation, Scope, constant
from .terms import fold, text_operator
from .values import NUMERIC, WHOLE, Refused, Stopped, canonical, convert, in_years, json_text, parse_json, to_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql import tree

_WIDTH = {K.INT: 0, K.LONG: 1, K.REAL: 2, K.DECIMAL: 3}


def to(value: Expr, kind: K) -> Expr:
    """An expression as another type."""
    if value.kind is kind:
        return value
    source, inner = value.kind, value.of
    return Expr(kind, lambda row: convert(inner(row), source, kind), value.constant)


def widest(*kinds: K) -> K:
    return max(kinds, key=_WIDTH.__getitem__)


def common(kinds: list[K]) -> K:
    """The type of values of which one is chosen."""
    known = set(kinds)
    if len(known) == 1:
        return kinds[0]
    if known <= set(NUMERIC):
        return widest(*kinds)
    if K.DYNAMIC in known:
        return K.DYNAMIC
    raise Refused(f"values of the types {', '.join(sorted(known))} side by side")


class Binder:
    """Expressions over the columns of a relation; `aggregates` says that aggregates may stand in them."""

    def __init__(self, scope: Scope, relation: Relation | None, *, keys: frozenset[str] | None = None) -> None:
        self.scope = scope
        self.relation = relation
        #: The group's columns, where this binds an expression of aggregates.
        self.keys = keys

    def bind(self, node: tree.Expression) -> Expr:
        method: Callable[[Any], Expr] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise Refused(f"{type(node).__name__} in an expression")
        return method(node)

    def truth(self, node: tree.Expression) -> Callable[[Cursor], bool]:
        """A predicate: true, or not."""
        value = to(self.bind(node), K.BOOL).of
        return lambda row: value(row) is True

    def _name(self, node: tree.Name) -> Expr:
        if self.relation is not None and node.name in self.relation.names:
            if self.keys is not None and node.name not in self.keys:
                raise Refused(f"the column {node.name} beside aggregates")
            place = self.relation.names.index(node.name)
            return Expr(self.relation.kinds[place], lambda row: row.values[place])
        if node.name in self.scope.scalars:
            return self.scope.scalars[node.name]
        raise Refused(f"the unknown name {node.name}")

    def _literal(self, node: tree.Literal) -> Expr:
        value: Any = node.value
        if node.type is K.DYNAMIC and isinstance(value, str):
            import json

            value = json.loads(value)
        return constant(node.type, value)

    def _parenthesis(self, node: tree.Parenthesis) -> Expr:
        return self.bind(node.inner)

    def _named(self, node: tree.Named) -> Expr:
        return self.bind(node.value)

    def _unary(self, node: tree.Unary) -> Expr:
        value = self.bind(node.operand)
        if value.kind is K.DYNAMIC:
            value = to(value, K.REAL)
        if value.kind is K.DECIMAL or node.operator == "+":
            if node.operator == "+":
                return value
            raise Refused("the sign of a decimal")
        kind = value.kind
        if kind is K.INT and not value.constant:
            kind = K.LONG
        inner = value.of
        return Expr(kind, lambda row: None if (found := inner(row)) is None else checked(-found), value.constant)

    def _binary(self, node: tree.Binary) -> Expr:
        left, right = self.bind(node.left), self.bind(node.right)
        both = left.constant and right.constant
        if node.operator in ("+", "-", "*", "/", "%"):
            return arithmetic(node.operator, left, right)
        if node.operator in ("==", "!=", "<", "<=", ">", ">="):
            return Expr(K.BOOL, comparison(node.operator, left, right), both)
        test = text_operator(node.operator)
        one, other = self._text(left).of, self._text(right).of
        return Expr(K.BOOL, lambda row: test(one(row), other(row)), both)

    def _text(self, value: Expr) -> Expr:
        if value.kind not in (K.STRING, K.DYNAMIC):
            raise Refused(f"a string operator on {value.kind}")
        return to(value, K.STRING)

    def _logic(self, node: tree.Logic) -> Expr:
        parts = [to(self.bind(operand), K.BOOL) for operand in node.operands]
        decisive = node.operator == "or"

        def value(row: Cursor) -> bool | None:
            found = [part.of(row) for part in parts]
            if decisive in found:
                return decisive
            return None if None in found else not decisive

        return Expr(K.BOOL, value, all(part.constant for part in parts))

    def _between(self, node: tree.Between) -> Expr:
        subject, low, high = self.bind(node.subject), self.bind(node.low), self.bind(node.high)
        if low.kind is K.DATETIME and high.kind is K.TIMESPAN:
            high = arithmetic("+", low, high)
        above, below = comparison(">=", subject, low), comparison("<=", subject, high)

        def value(row: Cursor) -> bool | None:
            found = (above(row), below(row))
            inside = False if False in found else None if None in found else True
            return None if inside is None else inside is not node.negated

        return Expr(K.BOOL, value)

    def _membership(self, node: tree.Membership) -> Expr:
        subject = self.bind(node.subject)
        rows = self._rows(node.items[0]) if len(node.items) == 1 else None
        if rows is not None:
            if rows.kinds[0] is K.DYNAMIC:
                raise Refused(f"{node.operator} over a table of dynamic values")
            items = [constant(rows.kinds[0], row[0]) for row in rows.rows]
            whole = False
        else:
            items, whole = self._items(node)
        if node.operator in ("has_any", "has_all"):
            test = text_operator("has")
            text = self._text(subject).of
            quantifier = any if node.operator == "has_any" else all

            def terms(row: Cursor) -> bool:
                needles = [needle for item in items for needle in _texts(item, row)]
                found = text(row)
                return quantifier(test(found, needle) for needle in needles)

            return Expr(K.BOOL, terms)
        negated, folded = node.operator.startswith("!"), node.operator.endswith("~")
        return Expr(K.BOOL, _in_list(subject, items, negated=negated, folded=folded, by_text=whole))

    def _items(self, node: tree.Membership) -> tuple[list[Expr], bool]:
        """The items, arrays among constants taken apart; whether one is an array known row by row."""
        items: list[Expr] = []
        arrays = False
        for item in node.items:
            bound = self.bind(item)
            if bound.kind is K.DYNAMIC and bound.constant:
                value = bound.value
                for element in value if isinstance(value, list) else [value]:
                    kind = _kind_of_element(element)
                    items.append(constant(kind, element))
            else:
                arrays = arrays or bound.kind is K.DYNAMIC
                items.append(bound)
        return items, arrays

    def _rows(self, node: tree.Expression) -> Relation | None:
        from .pipeline import rows_of

        return rows_of(node, self.scope, self.relation)

    def _member(self, node: tree.Member) -> Expr:
        if node.call is not None:
            raise Refused(f"a call after a point: {node.name}")
        return self._step(node.target, constant(K.STRING, node.name))

    def _index(self, node: tree.Index) -> Expr:
        return self._step(node.target, self.bind(node.index))

    def _step(self, target_node: tree.Expression, index: Expr) -> Expr:
        target = self.bind(target_node)
        if target.kind is not K.DYNAMIC:
            raise Refused(f"a path into {target.kind}")
        if index.kind not in (K.STRING, K.DYNAMIC, *WHOLE):
            raise Refused(f"an index of type {index.kind}")
        return Expr(K.DYNAMIC, lambda row: step(target.of(row), index.of(row)), target.constant and index.constant)

    def _call(self, node: tree.Call) -> Expr:
        from .calls import call

        return call(self, node)


def step(value: Any, index: Any) -> Any:
    """One step of a path: a key into a bag, a place in an array, counted from the end if it is negative."""
    if isinstance(value, dict):
        return value.get(index) if isinstance(index, str) else None
    if isinstance(value, list) and isinstance(index, int) and not isinstance(index, bool):
        return value[index] if -len(value) <= index < len(value) else None
    return None


def _texts(item: Expr, row: Cursor) -> list[str]:
    value = item.of(row)
    if item.kind is K.DYNAMIC:
        return [to_text(part, K.DYNAMIC) for part in (value if isinstance(value, list) else [value])]
    return [to_text(value, item.kind)]


def _kind_of_element(value: Any) -> K:
    for python, kind in ((bool, K.BOOL), (int, K.LONG), (float, K.REAL), (str, K.STRING)):
        if isinstance(value, python):
            return kind
    return K.DYNAMIC


def _in_list(
    subject: Expr, items: list[Expr], *, negated: bool, folded: bool, by_text: bool
) -> Callable[[Cursor], bool | None]:
    """`in` compares as `==` does; with `~` the texts without case."""
    if folded:

        def matches(row: Cursor) -> bool:
            found = fold(to_text(subject.of(row), subject.kind))
            return any(found == fold(text) for item in items for text in _texts(item, row))

        return lambda row: matches(row) is not negated
    if by_text or subject.kind is K.DYNAMIC:

        def among(row: Cursor) -> bool:
            found = subject.of(row)
            text = to_text(found, subject.kind)
            return found is not None and any(text == other for item in items for other in _texts(item, row))

        return lambda row: among(row) is not negated
    tests = [comparison("==", subject, item) for item in items]
    return lambda row: any(test(row) is True for test in tests) is not negated


# Comparison


def comparison(operator: str, left: Expr, right: Expr) -> Callable[[Cursor], bool | None]:  # noqa: C901 - one branch for each form that there is
    """What `left operator right` says of a row."""
    equality = operator in ("==", "!=")
    kinds = {left.kind, right.kind}
    if len(kinds) > 1:
        if K.DYNAMIC in kinds:
            other = left.kind if right.kind is K.DYNAMIC else right.kind
            kind = K.REAL if other in WHOLE else other
            left, right = to(left, kind), to(right, kind)
        elif kinds <= set(NUMERIC):
            kind = widest(left.kind, right.kind)
            if K.DECIMAL in kinds:
                raise Refused("decimal beside another number")
            left, right = to(left, kind), to(right, kind)
        elif K.STRING in kinds and equality and left.constant != right.constant:
            # A constant takes the type of what it is compared with: `EventID == "4625"`, `ResultType == 0`.
            left, right = (to(left, right.kind), right) if left.constant else (left, to(right, left.kind))
        elif kinds == {K.GUID, K.STRING} and equality:
            left, right = to(left, K.GUID), to(right, K.GUID)
        elif K.BOOL in kinds and kinds & set(NUMERIC):
            kind = left.kind if right.kind is K.BOOL else right.kind
            left, right = to(left, kind), to(right, kind)
        else:
            raise Refused(f"the comparison of {left.kind} and {right.kind}")
    kind = left.kind
    if not equality and kind in (K.STRING, K.DYNAMIC, K.GUID):
        raise Refused(f"{operator} between values of type {kind}")
    one, other_of = left.of, right.of

    def compare(row: Cursor) -> bool | None:
        a, b = one(row), other_of(row)
        if a is None and b is None:
            return None
        if equality:
            same = False if a is None or b is None else json_text(a) == json_text(b) if kind is K.DYNAMIC else a == b
            return same is (operator == "==")
        if a is None or b is None:
            return None
        found: bool = {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]
        return found

    return compare


# Arithmetic

#: Types beside plain numbers: "n" is a number, "d" a datetime, "t" a timespan.
_TIMES = {
    "t+t": K.TIMESPAN, "d+t": K.DATETIME, "t+d": K.DATETIME, "t-t": K.TIMESPAN, "d-d": K.TIMESPAN, "d-t": K.DATETIME,
    "t/t": K.REAL, "t*n": K.TIMESPAN, "n*t": K.TIMESPAN, "t/n": K.TIMESPAN, "t%t": K.TIMESPAN, "d%t": K.TIMESPAN,
    "d/t": K.REAL,
}  # fmt: skip
_LETTERS = {K.DATETIME: "d", K.TIMESPAN: "t", K.INT: "n", K.LONG: "n", K.REAL: "n"}


def checked(value: Any) -> Any:
    """A result; a whole number beyond 64 bits stops the query."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Stopped("a number beyond 64 bits")
    return value


def arithmetic(operator: str, left: Expr, right: Expr) -> Expr:
    """`left operator right`."""
    if K.DYNAMIC in (left.kind, right.kind):
        if left.kind is right.kind:
            left, right = to(left, K.REAL), to(right, K.REAL)
        elif left.kind is K.DYNAMIC:
            left = to(left, K.LONG if right.kind is K.INT else right.kind)
        else:
            right = to(right, K.LONG if left.kind is K.INT else left.kind)
    kinds = {left.kind, right.kind}
    if kinds <= set(NUMERIC):
        kind = widest(K.LONG, *kinds)
        if kind is K.DECIMAL:
            raise Refused("arithmetic on decimal")
        left, right = to(left, kind), to(right, kind)
        work = _WHOLE[operator] if kind is K.LONG else _REAL[operator]
    else:
        shape = f"{_LETTERS.get(left.kind, '?')}{operator}{_LETTERS.get(right.kind, '?')}"
        if shape not in _TIMES:
            raise Refused(f"{left.kind} {operator} {right.kind}")
        kind = _TIMES[shape]
        work = _TIME_WORK.get(shape, _WHOLE[operator])
    one, other = left.of, right.of

    def value(row: Cursor) -> Any:
        a, b = one(row), other(row)
        if a is None or b is None:
            return None
        found = checked(work(a, b))
        return in_years(found) if kind is K.DATETIME else found

    return Expr(kind, value, left.constant and right.constant)


def whole_quotient(a: int, b: int) -> int | None:
    """Division that drops the fraction."""
    if b == 0:
        return None
    found = abs(a) // abs(b)
    return found if (a < 0) == (b < 0) else -found


def whole_rest(a: int, b: int) -> int | None:
    """A small number that is not negative."""
    return None if b == 0 else a % abs(b)


def real_quotient(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1, b)


def _real_rest(a: float, b: float) -> float:
    if b == 0:
        raise Refused("% of a real by zero: no page says what it is")
    if not math.isfinite(a) or math.isnan(b):
        return math.nan
    if math.isinf(b):
        raise Refused("% by an infinity")
    found = math.fmod(a, abs(b))
    return found + abs(b) if found < 0 else abs(found)  # no negative zero either


def _real(work: Callable[[float, float], float]) -> Callable[[float, float], float]:
    def safe(a: float, b: float) -> float:
        try:
            return work(a, b)
        except OverflowError:
            return math.inf

    return safe


def _scaled(span: int, factor: float) -> int | None:
    if isinstance(factor, int):
        return span * factor
    found = span * factor
    if not math.isfinite(found) or abs(found) >= 2**53:
        raise Refused("a timespan times a number beyond 53 bits")
    return math.trunc(found)


def _divided(span: int, by: float) -> int | None:
    if isinstance(by, int):
        return whole_quotient(span, by)
    if by == 0:
        raise Refused("a timespan by 0.0")
    return math.trunc(span / by)


_WHOLE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": whole_quotient,
    "%": whole_rest,
}
_REAL: dict[str, Callable[[Any, Any], Any]] = {
    "+": _real(lambda a, b: a + b),
    "-": _real(lambda a, b: a - b),
    "*": _real(lambda a, b: a * b),
    "/": _real(real_quotient),
    "%": _real_rest,
}
_TIME_WORK: dict[str, Callable[[Any, Any], Any]] = {
    "t/t": lambda a, b: real_quotient(float(a), float(b)),
    "d/t": lambda a, b: real_quotient(float(a), float(b)),
    "t*n": _scaled,
    "n*t": lambda a, b: _scaled(b, a),
    "t/n": _divided,
}

__all__ = ["Binder", "arithmetic", "canonical", "common", "comparison", "parse_json", "step", "to", "widest"]
