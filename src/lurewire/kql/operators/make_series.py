"""The make-series operator: aggregates at equal steps of an axis, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import arithmetic, to, widest
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.expression_parser import RELATION
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR, Rows
from lurewire.kql.types import NUMBERS, KqlType

from .registry import TabularOperator
from .summarize import Summarize, bind_summarize

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

#: The name of the slots' column while they are grouped: no query can write it.
_SLOT = "\0slot"


@dataclass(frozen=True, slots=True)
class MakeSeries(tree.Operator):
    """`make-series name = aggregate default = value, ... on axis from start to stop step step by keys`."""

    aggregates: tuple[tree.Expression, ...]
    defaults: tuple[tree.Expression | None, ...]
    axis: tree.Expression
    start: tree.Expression | None
    stop: tree.Expression | None
    step: tree.Expression
    keys: tuple[tree.Expression, ...]
    inclusive: bool
    nonempty: bool


def _parse(parser: Parser, name: Token) -> MakeSeries:
    kind = parser.parameters().get("kind")
    nonempty = isinstance(kind, tree.Name) and kind.name == "nonempty"
    if kind is not None and not nonempty:
        parser.fail("expected 'nonempty'")

    def item() -> tuple[tree.Expression, tree.Expression | None]:
        aggregate = parser.named_expression()
        if not parser.accept("default"):
            return aggregate, None
        parser.expect("=")
        return aggregate, parser.expression()

    items = parser.comma_list(item)
    parser.expect("on")
    at = parser.current.at
    axis: tree.Expression
    if parser.current.kind == "name" and parser.peek().text == "=":
        label = parser.name()
        parser.advance()
        axis = tree.Named(at, (label,), parser.expression(RELATION))
    else:
        axis = parser.expression(RELATION)
    inclusive = parser.accept("in") is not None
    start: tree.Expression | None
    stop: tree.Expression | None
    if inclusive:
        parser.expect("range")
        parser.expect("(")
        bounds = parser.comma_list(parser.expression)
        parser.expect(")")
        if len(bounds) != 3:
            parser.fail("expected range(start, stop, step)")
        start, stop, step = bounds
    else:
        start = parser.expression() if parser.accept("from") else None
        stop = parser.expression() if parser.accept("to") else None
        parser.expect("step")
        step = parser.expression()
    keys = parser.comma_list(parser.named_expression) if parser.accept("by") else ()
    aggregates, defaults = tuple(part for part, _ in items), tuple(part for _, part in items)
    return MakeSeries(name.at, aggregates, defaults, axis, start, stop, step, keys, inclusive, nonempty)


@dataclass(frozen=True, slots=True)
class _Axis:
    """The bound axis: everything of one type (`span` for steps), which `origin` has."""

    value: plan.Scalar
    origin: plan.Scalar
    stop: plan.Scalar | None
    step: plan.Scalar
    fixed: bool

    def slot(self, value: plan.Scalar, at: int, *, above: bool = False) -> plan.Scalar:
        """The number of the step that a value falls into; `above` says that it is not below the origin."""
        distance = arithmetic("-", value, self.origin, at)
        if distance.type is KqlType.REAL:
            steps = plan.Arithmetic(KqlType.REAL, "/", distance, self.step)
            return to(plan.Bin(KqlType.REAL, steps, plan.Constant(KqlType.REAL, 1.0)), KqlType.LONG)
        # Division of whole numbers cuts towards zero.
        whole = distance if above else plan.Bin(distance.type, distance, self.step)
        return plan.Arithmetic(KqlType.LONG, "/", whole, self.step)

    def end(self, at: int, *, inclusive: bool) -> plan.Scalar | None:
        """The slot before which the series ends; `stop` itself is a part of it with `inclusive`."""
        if self.stop is None:
            return None
        one = plan.Constant(KqlType.LONG, 1)
        if inclusive:
            return arithmetic("+", self.slot(self.stop, at), one, at)
        # The first slot whose start is not below `stop`: ceil(x) is -floor(-x).
        mirrored = _Axis(self.value, self.stop, None, self.step, fixed=True)
        return plan.Negate(KqlType.LONG, mirrored.slot(self.origin, at))


def _bind_axis(node: MakeSeries, rows: Rows, context: Context) -> _Axis | None:
    binder, constants = ExpressionBinder(context, rows, "make-series"), ExpressionBinder(context, None, "make-series")
    value = binder.bind(node.axis.value if isinstance(node.axis, tree.Named) else node.axis)
    start = None if node.start is None else constants.bind(node.start)
    stop = None if node.stop is None else constants.bind(node.stop)
    step = constants.bind(node.step)
    given = [part for part in (value, start, stop) if part is not None]
    if ERROR in (*given, step):
        return None
    kinds = {part.type for part in given}
    if kinds | {step.type} <= NUMBERS - {KqlType.DECIMAL}:
        kind = span = widest(KqlType.LONG, step.type, *kinds)
    elif kinds in ({KqlType.DATETIME}, {KqlType.TIMESPAN}) and step.type is KqlType.TIMESPAN:
        kind, span = value.type, KqlType.TIMESPAN
    else:
        shown = ", ".join(sorted(kinds))
        raise semantic(f"'make-series' operator: no steps of {step.type} along {shown}", node.at)
    step = to(step, span)
    if isinstance(step, plan.Constant) and isinstance(step.value, int | float) and step.value <= 0:
        raise semantic("'make-series' operator: the step must be above zero", node.at)
    zero = plan.Constant(kind, 0.0 if kind is KqlType.REAL else 0)
    origin = zero if start is None else to(start, kind)
    if node.inclusive:
        origin = plan.Bin(kind, origin, step)
    return _Axis(to(value, kind), origin, None if stop is None else to(stop, kind), step, start is not None)


def _bind(node: MakeSeries, rows: Rows, context: Context) -> Rows:
    axis = _bind_axis(node, rows, context)
    if axis is None:
        return rows
    end = axis.end(node.at, inclusive=node.inclusive)
    number = context.new_id()
    slots: plan.Relation = plan.Compute(rows.relation, ((number, axis.slot(axis.value, node.at, above=axis.fixed)),))
    slot = plan.ColumnRef(KqlType.LONG, number)
    # A row without a value on the axis is in no slot.
    bounds: list[plan.Scalar] = [plan.Compare(KqlType.BOOL, ">=", slot, slot)]
    if axis.fixed:
        bounds = [plan.Compare(KqlType.BOOL, ">=", axis.value, axis.origin)]
    if axis.stop is not None:
        assert end is not None
        before = plan.Compare(KqlType.BOOL, "<", axis.value, axis.stop)
        bounds.append(plan.Compare(KqlType.BOOL, "<", slot, end) if node.inclusive else before)
    slots = plan.Filter(slots, plan.Logic(KqlType.BOOL, "and", tuple(bounds)))
    source = Rows(slots, (*rows.columns, plan.Output(_SLOT, number, KqlType.LONG)))
    grouped = bind_summarize(
        Summarize(node.at, node.aggregates, (*node.keys, tree.Name(node.at, _SLOT))), source, context
    )
    return _arrays(node, grouped, axis, end, context)


def _arrays(node: MakeSeries, grouped: Rows, axis: _Axis, end: plan.Scalar | None, context: Context) -> Rows:
    keys = grouped.columns[: len(node.keys)]
    aggregates = grouped.columns[len(node.keys) + 1 :]
    if len(aggregates) != len(node.aggregates):
        raise unsupported("an aggregate with several results in make-series", node.at)
    binder = ExpressionBinder(context, None, "make-series")
    columns, values = list(keys), []
    for column, given in zip(aggregates, node.defaults, strict=True):
        default: plan.Scalar = plan.Constant(KqlType.LONG, 0) if given is None else binder.bind(given)
        if column.type not in NUMBERS | {KqlType.DATETIME, KqlType.TIMESPAN}:
            raise semantic(f"'make-series' operator: an aggregate must be a number, not {column.type}", node.at)
        if column.type in NUMBERS and default.type in NUMBERS and column.type is KqlType.REAL:
            default = to(default, KqlType.REAL)
        number = context.new_id()
        values.append(plan.SeriesValue(number, plan.ColumnRef(column.type, column.id), default))
        columns.append(plan.Output(column.name, number, KqlType.DYNAMIC))
    label = result_name(node.axis) or "Column1"
    place = context.new_id()
    columns.append(plan.Output(label, place, KqlType.DYNAMIC))
    slot = grouped.columns[len(node.keys)].id
    series = plan.Series(
        grouped.relation, tuple(key.id for key in keys), slot, tuple(values), place, axis.origin, axis.step,
        axis.fixed, end, node.nonempty,
    )  # fmt: skip
    return Rows(series, tuple(columns))


OPERATORS = (TabularOperator("make-series", MakeSeries, _parse, _bind, row_wise=False),)
