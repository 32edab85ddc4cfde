"""The top-nested operator: the top values of an expression, of another one within each of them, and so on.

Source: https://learn.microsoft.com/kusto/query/top-nested-operator. Every level is joined to the paths that the one above
it kept; what a level leaves out is one row more where it, or a level below it, says `with others`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.constants import evaluated
from lurewire.kql.conversions import to
from lurewire.kql.errors import Consequence, semantic
from lurewire.kql.functions import AGGREGATES
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import NUMBERS, KqlType

from .registry import TabularOperator
from .rows import row_count
from .summarize import aggregated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_LONG = KqlType.LONG

#: A part of the result: rows, and the values of the result's columns in order.
_Leg = tuple[plan.Relation, tuple[plan.Scalar, ...]]


@dataclass(frozen=True, slots=True)
class Level(tree.Node):
    """`top-nested n of value with others = constant by aggregate asc|desc`."""

    count: tree.Expression | None
    value: tree.Expression
    others: tree.Expression | None
    aggregate: tree.Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class TopNested(tree.Operator):
    """Levels from the outermost to the innermost."""

    levels: tuple[Level, ...]


def _parse(parser: Parser, name: Token) -> TopNested:
    levels = [_parse_level(parser, name.at)]
    while parser.accept(","):
        following = parser.operator_name()
        if following.text != "top-nested":
            parser.fail("expected 'top-nested'", following)
        levels.append(_parse_level(parser, following.at))
    return TopNested(name.at, tuple(levels))


def _parse_level(parser: Parser, at: int) -> Level:
    count = None if parser.at_text("of") else parser.expression()
    parser.expect("of")
    value = parser.named_expression()
    others = None
    if parser.accept("with"):
        parser.expect("others")
        parser.expect("=")
        others = parser.expression()
    parser.expect("by")
    aggregate = parser.named_expression()
    direction = parser.accept("asc", "desc")
    return Level(at, count, value, others, aggregate, direction is None or direction.text == "desc")


@dataclass(slots=True)
class _Bound:
    """A level's parts: its value's column among the rows, how many are kept, the value of the others, and its total's type."""

    node: Level
    key: plan.Output
    count: int | None
    others: plan.Scalar | None
    total: KqlType = _LONG


@dataclass(slots=True)
class _Paths:
    """The paths that a level keeps: the values, totals and places of it and of the levels above, as columns."""

    relation: plan.Relation
    keys: tuple[plan.Output, ...]
    totals: tuple[plan.Output, ...]
    places: tuple[plan.Output, ...]

    @property
    def columns(self) -> tuple[plan.Output, ...]:
        return (*self.keys, *self.totals, *self.places)

    def use(self, context: Context) -> _Paths:
        """The same paths with columns of their own."""
        relation, numbers = _shared(self.relation, self.columns, context)
        fresh = [
            plan.Output(column.name, number, column.type) for column, number in zip(self.columns, numbers, strict=True)
        ]
        size = len(self.keys)
        return _Paths(relation, tuple(fresh[:size]), tuple(fresh[size : 2 * size]), tuple(fresh[2 * size :]))


def _shared(
    relation: plan.Relation, columns: Sequence[plan.Output], context: Context
) -> tuple[plan.Relation, tuple[int, ...]]:
    held = tuple(column.id for column in columns)
    numbers = tuple(context.new_id() for _ in held)
    return plan.Shared(relation, held, numbers), numbers


def _ref(column: plan.Output) -> plan.ColumnRef:
    return plan.ColumnRef(column.type, column.id)


def _typed(columns: Sequence[plan.Output]) -> tuple[tuple[int, KqlType], ...]:
    return tuple((column.id, column.type) for column in columns)


@dataclass(slots=True)
class _Nest:
    """The operator being bound: its input with the values of all levels beside the columns."""

    rows: Rows
    context: Context
    levels: list[_Bound] = field(default_factory=list)

    def use(self) -> tuple[Rows, list[plan.Output]]:
        """The input once more, with columns of its own, and the values of the levels in it."""
        columns = (*self.rows.columns, *(level.key for level in self.levels))
        relation, numbers = _shared(self.rows.relation, columns, self.context)
        fresh = [plan.Output(column.name, number, column.type) for column, number in zip(columns, numbers, strict=True)]
        size = len(self.rows.columns)
        return Rows(relation, tuple(fresh[:size])), fresh[size:]

    def below(self, paths: _Paths | None) -> tuple[Rows, list[plan.Output], _Paths | None]:
        """The input's rows under the paths that are kept, beside the columns of their path."""
        rows, keys = self.use()
        if paths is None:
            return rows, keys, None
        path = paths.use(self.context)
        joined = plan.Join(
            "inner",
            rows.relation,
            path.relation,
            tuple((_ref(key), _ref(kept)) for key, kept in zip(keys, path.keys, strict=False)),
            _typed((*rows.columns, *keys)),
            _typed(path.columns),
            nulls_match=True,
        )
        return Rows(joined, rows.columns), keys, path

    def kept(self, place: int, above: _Paths | None) -> _Paths:
        """The paths that a level keeps."""
        level, context = self.levels[place], self.context
        rows, keys, path = self.below(above)
        calls, total = _total(level, rows, context)
        own = keys[place]
        carried = () if path is None else path.columns
        groups = tuple((column.id, _ref(column)) for column in (*carried, own))
        number = context.new_id()
        relation: plan.Relation = plan.Summarize(rows.relation, groups, tuple(calls))
        relation = plan.Compute(relation, ((number, total),))
        summed = plan.Output("", number, total.type)
        descending = level.node.descending
        order = (
            plan.SortKey(_sortable(summed), descending, not descending),
            plan.SortKey(_sortable(own), descending=False, nulls_first=True),
        )
        ordinal = plan.Output("", context.new_id(), _LONG)
        relation = plan.Number(plan.Sort(relation, order), ordinal.id)
        if level.count is not None:
            within = None if path is None else _ref(path.places[-1])
            counted = context.new_id()
            call = plan.WindowCall("number", _LONG, group=within)
            relation = plan.Window(relation, ordinal.id, ((counted, call),))
            most = plan.Constant(_LONG, level.count)
            relation = plan.Filter(relation, plan.Compare(KqlType.BOOL, "<=", plan.ColumnRef(_LONG, counted), most))
        if path is None:
            return _Paths(relation, (own,), (summed,), (ordinal,))
        return _Paths(relation, (*path.keys, own), (*path.totals, summed), (*path.places, ordinal))

    def left_out(self, place: int, above: _Paths | None, kept: _Paths) -> _Leg | None:
        """A row for all that a level does not keep under each path above it; None where nobody asks for it."""
        asked = [level for level in self.levels[place:] if level.others is not None]
        if not asked or self.levels[place].count is None:
            return None
        rows, keys, path = self.below(above)
        own = kept.use(self.context)
        carried = () if path is None else path.columns
        relation: plan.Relation = plan.Join(
            "leftanti",
            rows.relation,
            own.relation,
            tuple((_ref(key), _ref(one)) for key, one in zip(keys, own.keys, strict=False)),
            _typed((*rows.columns, *keys, *carried)),
            _typed(own.columns),
            nulls_match=True,
        )
        counted = self.context.new_id()
        calls = [plan.AggregateCall(AGGREGATES["count"], (), None, None, (counted,), (_LONG,))]
        totals: list[plan.Scalar] = []
        for level in self.levels[place:]:
            if level.others is None:
                totals.append(_absent(level.total))
                continue
            more, total = _total(level, rows, self.context)
            calls.extend(more)
            totals.append(total)
        relation = plan.Summarize(relation, tuple((column.id, _ref(column)) for column in carried), tuple(calls))
        if path is None:
            some = plan.Compare(KqlType.BOOL, ">", plan.ColumnRef(_LONG, counted), plan.Constant(_LONG, 0))
            relation = plan.Filter(relation, some)
        values: list[plan.Scalar] = [] if path is None else [_ref(column) for column in path.keys]
        values.extend(level.others or _absent(level.key.type) for level in self.levels[place:])
        sums: list[plan.Scalar] = [] if path is None else [_ref(column) for column in path.totals]
        places: list[plan.Scalar] = [] if path is None else [_ref(column) for column in path.places]
        places.extend(_absent(_LONG) for _ in self.levels[place:])
        return relation, (*values, *sums, *totals, *places)


def _absent(kind: KqlType) -> plan.Scalar:
    return plan.Constant(kind, "" if kind is KqlType.STRING else None)


def _sortable(column: plan.Output) -> plan.Scalar:
    return to(_ref(column), KqlType.STRING) if column.type is KqlType.DYNAMIC else _ref(column)


def _total(level: _Bound, rows: Rows, context: Context) -> tuple[list[plan.AggregateCall], plan.Scalar]:
    node = level.node.aggregate
    calls, total = aggregated(node.value if isinstance(node, tree.Named) else node, rows, context, "top-nested")
    if total is ERROR:
        raise Consequence(node.at)
    if not calls:
        raise semantic("'top-nested' operator: an aggregate must follow 'by'", node.at)
    return calls, total


def _bind(node: TopNested, rows: Rows, context: Context) -> Rows:
    binder = ExpressionBinder(context, rows, "top-nested")
    levels, made = [], []
    for item in node.levels:
        value = binder.bind(item.value.value if isinstance(item.value, tree.Named) else item.value)
        count = None if item.count is None else row_count(item.count, context, "top-nested")
        if value is ERROR:
            raise Consequence(item.at)
        number = context.new_id()
        made.append((number, value))
        key = plan.Output("", number, value.type)
        levels.append(_Bound(item, key, count, _others(item, value.type, context)))
    nest = _Nest(Rows(plan.Compute(rows.relation, tuple(made)), rows.columns), context, levels)
    steps: list[tuple[_Paths | None, _Paths]] = []
    for place, level in enumerate(levels):
        above = steps[-1][1] if steps else None
        steps.append((above, nest.kept(place, above)))
        level.total = steps[-1][1].totals[-1].type
    final = steps[-1][1].use(context)
    legs: list[_Leg] = [(final.relation, tuple(_ref(column) for column in final.columns))]
    for place, (above, kept) in enumerate(steps):
        leg = nest.left_out(place, above, kept)
        legs.extend([] if leg is None else [leg])
    return _result(nest, final, legs)


def _others(item: Level, kind: KqlType, context: Context) -> plan.Scalar | None:
    """The constant that stands for the values that are left out."""
    if item.others is None:
        return None
    value = evaluated(
        ExpressionBinder(context, None, "top-nested").bind(item.others),
        "'top-nested' operator: others",
        item.at,
        context,
    )
    if value is None:
        raise Consequence(item.at)
    if value.type is kind or value.value is None or {value.type, kind} <= NUMBERS or kind is KqlType.DYNAMIC:
        return to(value, kind)
    raise semantic(f"'top-nested' operator: others must be of type {kind}, not {value.type}", item.others.at)


def _result(nest: _Nest, final: _Paths, legs: list[_Leg]) -> Rows:
    """The rows of all legs, path by path, under the names of the levels."""
    context = nest.context
    fresh = [plan.Output("", context.new_id(), column.type) for column in final.columns]
    size = len(nest.levels)
    order = tuple(plan.SortKey(_ref(column), descending=False, nulls_first=False) for column in fresh[2 * size :])
    projection = Projection()
    for level, key, total in zip(nest.levels, fresh[:size], fresh[size : 2 * size], strict=True):
        automatic = result_name(level.node.value) or projection.unnamed()
        name = _declare(projection, level.node.value, automatic, key)
        _declare(projection, level.node.aggregate, f"aggregated_{name}", total)
    ids = tuple(column.id for column in fresh)
    united = tuple(plan.Leg(relation, dict(zip(ids, values, strict=True))) for relation, values in legs)
    union = plan.Union(ids, tuple(column.type for column in fresh), united)
    return Rows(plan.Sort(union, order), tuple(projection.columns))


def _declare(projection: Projection, node: tree.Expression, automatic: str, column: plan.Output) -> str:
    """A result column under the name that the query gives, or the automatic one."""
    if isinstance(node, tree.Named):
        projection.declare(node.names[0], column.id, column.type, node.at)
        return node.names[0]
    return projection.add(automatic, column.id, column.type)


OPERATORS = (TabularOperator("top-nested", TopNested, _parse, _bind, row_wise=False),)
