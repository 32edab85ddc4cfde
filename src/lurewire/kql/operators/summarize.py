"""The summarize operator: groups and aggregates, also inside expressions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import Consequence, Problem, semantic, unsupported
from lurewire.kql.functions import AGGREGATES
from lurewire.kql.naming import aggregate_name, result_name
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import INTEGERS, ORDERED, KqlType

from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.functions.registry import Aggregate
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Summarize(tree.Operator):
    """`summarize aggregates by keys`; `operator` is what the query calls it, facet for one."""

    aggregates: tuple[tree.Expression, ...]
    keys: tuple[tree.Expression, ...]
    operator: str = "summarize"


def _parse(parser: Parser, name: Token) -> Summarize:
    parser.parameters()
    aggregates: tuple[tree.Expression, ...] = ()
    if not parser.at_text("by"):
        aggregates = parser.comma_list(parser.named_expression)
    keys: tuple[tree.Expression, ...] = ()
    if parser.accept("by"):
        keys = parser.comma_list(parser.named_expression)
    return Summarize(name.at, aggregates, keys)


def bind_keys(
    nodes: Sequence[tree.Expression], rows: Rows, context: Context, operator: str
) -> tuple[Projection, list[tuple[int, plan.Scalar]]]:
    """The grouping expressions and their columns."""
    binder = ExpressionBinder(context, rows, operator)
    projection, groups = Projection(), []
    for node in nodes:
        expression = node.value if isinstance(node, tree.Named) else node
        value = binder.bind(expression)
        if value.type is KqlType.DYNAMIC and value is not ERROR and operator in ("summarize", "facet"):
            shown = result_name(node) or "expression"
            message = f"Summarize group key '{shown}' is of a 'dynamic' type. Please use an explicit cast"
            context.report(semantic(f"{message} (for example, 'summarize ... by tostring({shown})')", node.at))
        number = context.erroneous_id() if value is ERROR else context.new_id()
        groups.append((number, value))
        if isinstance(node, tree.Named):
            projection.declare(node.names[0], number, value.type, node.at)
        else:
            projection.add(result_name(node) or projection.unnamed(), number, value.type)
    return projection, groups


@dataclass(slots=True)
class _Aggregates:
    """The aggregates found so far, and the columns computed over them."""

    rows: Rows
    context: Context
    keys: list[tuple[int, plan.Scalar]]
    calls: list[plan.AggregateCall] = field(default_factory=list)
    computed: list[tuple[int, plan.Scalar]] = field(default_factory=list)


class _AggregateBinder(ExpressionBinder):
    """Binds an expression in which aggregates may stand; columns may stand inside aggregates only."""

    def __init__(self, found: _Aggregates, operator: str = "summarize") -> None:
        super().__init__(found.context, found.rows, operator)
        self._found = found

    def call(self, node: tree.Call) -> plan.Scalar:
        row = AGGREGATES.get(node.name)
        if row is None or node.name in ("min_of", "max_of"):
            return super().call(node)
        if row.several and len(node.arguments) > 1:
            raise semantic(f"{node.name}() with several results cannot be part of an expression", node.at)
        call = aggregate_call(self._found, node, row, node.arguments)
        return ERROR if call is None else plan.ColumnRef(call.types[0], call.outputs[0])

    def name(self, node: tree.Name) -> plan.Scalar:
        value = super().name(node)
        if not isinstance(value, plan.ColumnRef):
            return value
        for number, key in self._found.keys:
            if key == value:
                return plan.ColumnRef(value.type, number)
        raise semantic(f"'{self.operator}' operator: the column '{node.name}' must be inside an aggregate", node.at)


def aggregate_call(
    found: _Aggregates, node: tree.Call, row: Aggregate, arguments: Sequence[tree.Expression]
) -> plan.AggregateCall | None:
    """An aggregate over the input's rows; None after a reported problem."""
    binder = ExpressionBinder(found.context, found.rows, "summarize")
    given = list(arguments)
    predicate = None
    if row.conditional:
        place = len(row.params) - row.optional
        if len(given) <= place:
            raise semantic(f"{node.name}(): a predicate is missing", node.at, token=node.name)
        predicate = binder.boolean(given.pop(place), f"{node.name}(): the predicate")
    limit = _limit(binder, node, given, row)
    most = len(given) if row.several or row.variadic else len(row.params)
    if not len(row.params) - row.optional <= len(given) <= most:
        raise semantic(f"{node.name}(): wrong number of arguments", node.at, token=node.name)
    values = [
        binder.argument(value, row.params[min(position, len(row.params) - 1)], node.name, position)
        for position, value in enumerate(given)
    ]
    if ERROR in values or predicate is ERROR:
        return None
    if row.name in ("arg_max", "arg_min") and values[0].type not in ORDERED:
        values[0] = to(values[0], KqlType.REAL)
    if not row.deterministic:
        found.context.deterministic = False
    kind = row.result if isinstance(row.result, KqlType) else row.result(values)
    kinds = tuple(value.type for value in values) if row.several else (kind,)
    if row.labels is not None:
        kinds = (kind,) * len(row.labels(node))
    outputs = tuple(found.context.new_id() for _ in kinds)
    call = plan.AggregateCall(row, tuple(values), predicate, limit, outputs, kinds)
    found.calls.append(call)
    return call


def aggregate_calls(
    node: tree.Call, predicates: Sequence[plan.Scalar], rows: Rows, context: Context
) -> list[plan.AggregateCall]:
    """One aggregate over the rows of each predicate; raises Problem where the call is wrong."""
    calls = []
    for predicate in predicates:
        found = aggregate_call(_Aggregates(rows, context, []), node, AGGREGATES[node.name], node.arguments)
        if found is None:
            raise Consequence(node.at)
        calls.append(replace(found, predicate=predicate))
    return calls


def aggregated(
    node: tree.Expression, rows: Rows, context: Context, operator: str
) -> tuple[list[plan.AggregateCall], plan.Scalar]:
    """An expression of aggregates over rows: its aggregates, and its value over their results. ERROR if it has problems."""
    found = _Aggregates(rows, context, [])
    value = _AggregateBinder(found, operator).bind(node)
    return found.calls, value


def _limit(binder: ExpressionBinder, node: tree.Call, given: list[tree.Expression], row: Aggregate) -> int | None:
    """The optional maximum size of a list, set or bag; deprecated names have a small one of their own."""
    if not row.sized or len(given) <= len(row.params):
        return _LEGACY_SIZE if node.name in _LEGACY_SIZED else None
    value = binder.bind(given.pop())
    if not isinstance(value, plan.Constant) or value.type not in INTEGERS or not isinstance(value.value, int):
        raise unsupported(f"{node.name}(): a maximum size that is not a literal", node.at)
    return value.value


def bind_summarize(node: Summarize, rows: Rows, context: Context) -> Rows:
    """The groups and aggregates; keys come first among the columns."""
    projection, keys = bind_keys(node.keys, rows, context, node.operator)
    found = _Aggregates(rows, context, keys)
    for item in node.aggregates:
        known = len(context.problems), len(projection.columns)
        try:
            _aggregate_column(item, found, projection, node)
        except Problem as problem:
            context.report(problem)
        if (len(context.problems), len(projection.columns)) != known and len(projection.columns) == known[1]:
            _stand_in(item, rows, context, projection)
    relation: plan.Relation = plan.Summarize(rows.relation, tuple(keys), tuple(found.calls))
    if found.computed:
        relation = plan.Compute(relation, tuple(found.computed))
    return Rows(relation, tuple(projection.columns))


def _stand_in(item: tree.Expression, rows: Rows, context: Context, projection: Projection) -> None:
    """Columns for an aggregate that has problems, so that these are all that is told of them."""
    names = item.names if isinstance(item, tree.Named) else (result_name(item),)
    expression = item.value if isinstance(item, tree.Named) else item
    lost = [name for name in names if name is not None]
    for argument in expression.arguments if isinstance(expression, tree.Call) else ():
        if isinstance(argument, tree.Star):
            lost.extend(column.name for column in rows.columns)
        elif isinstance(argument, tree.Name):
            lost.append(argument.name)
    taken = {column.name for column in projection.columns}
    for name in dict.fromkeys(lost):
        if name not in taken:
            projection.add(name, context.erroneous_id(), KqlType.DYNAMIC)


def _aggregate_column(item: tree.Expression, found: _Aggregates, projection: Projection, node: Summarize) -> None:
    expression = item.value if isinstance(item, tree.Named) else item
    names = item.names if isinstance(item, tree.Named) else ()
    row = AGGREGATES.get(expression.name) if isinstance(expression, tree.Call) else None
    if row is not None and row.several:
        assert isinstance(expression, tree.Call)
        _several(expression, row, names, found, projection, node)
        return
    if row is not None and row.labels is not None:
        assert isinstance(expression, tree.Call)
        call = aggregate_call(found, expression, row, expression.arguments)
        if call is not None:
            _declare(call, names, row.labels(expression), projection, item.at)
        return
    if len(names) > 1:
        raise unsupported("assigning to several names at once", item.at)
    if isinstance(expression, tree.Call) and row is not None:
        call = aggregate_call(found, expression, row, expression.arguments)
        if call is None:
            return
        number, kind = call.outputs[0], call.types[0]
        automatic = _automatic_name(expression, row)
    else:
        value = _AggregateBinder(found).bind(expression)
        if value is ERROR:
            return
        number, kind = found.context.new_id(), value.type
        found.computed.append((number, value))
        automatic = result_name(expression)
    if names:
        projection.declare(names[0], number, kind, item.at)
    else:
        projection.add(automatic or projection.unnamed(), number, kind)


def _automatic_name(expression: tree.Call, row: Aggregate) -> str | None:
    if row.prefix is None:
        return result_name(expression.arguments[0]) or ("any_arg0" if row.several or row.conditional else None)
    return aggregate_name(row.prefix, expression.arguments)


def _several(
    call_node: tree.Call,
    row: Aggregate,
    names: tuple[str, ...],
    found: _Aggregates,
    projection: Projection,
    node: Summarize,
) -> None:
    """arg_max, arg_min and take_any: `*` stands for the columns that are neither keys nor named already."""
    taken = {key.name for key in node.keys if isinstance(key, tree.Name)}
    arguments: list[tree.Expression] = []
    labels: list[str] = []
    # argmax() and argmin() put what they compare before the names of their columns; any() puts its name there.
    compared = result_name(call_node.arguments[0]) if call_node.arguments else None
    legacy = f"{call_node.name[3:]}_{compared or ''}_" if call_node.name in _LEGACY else ""
    others_prefix = legacy if row.prefix is None else f"{row.prefix}_"
    for position, argument in enumerate(call_node.arguments):
        if isinstance(argument, tree.Star):
            others = [column.name for column in found.rows.columns if column.name not in taken]
            arguments.extend(tree.Name(argument.at, name) for name in others)
            labels.extend(f"{others_prefix}{name}" for name in others)
            taken.update(others)
        else:
            arguments.append(argument.value if isinstance(argument, tree.Named) else argument)
            label = _several_label(call_node, row, position)
            labels.append(f"{legacy}{label}" if position else legacy.removesuffix("_") or label)
            taken.add(label)
    call = aggregate_call(found, call_node, row, arguments)
    if call is not None:
        _declare(call, names, labels, projection, call_node.at)


def _declare(
    call: plan.AggregateCall, names: Sequence[str], labels: Sequence[str], projection: Projection, at: int
) -> None:
    """The result columns of a call: those that are named, then the others."""
    for position, (number, kind) in enumerate(zip(call.outputs, call.types, strict=True)):
        if position < len(names):
            projection.declare(names[position], number, kind, at)
        else:
            projection.add(labels[position], number, kind)


def _several_label(call: tree.Call, row: Aggregate, position: int) -> str:
    """The name of one result column of arg_max, arg_min or take_any."""
    name = result_name(call.arguments[position])
    if row.prefix is not None:
        return f"{row.prefix}_{name or ''}"
    if name is not None:
        return name
    if not row.name.startswith("arg_"):
        return f"any_arg{position}"
    prefix = row.name.removeprefix("arg_")
    return f"{prefix}_{result_name(call.arguments[0]) or ''}_arg{position}" if position else f"{prefix}_"


_LEGACY = ("argmax", "argmin")
#: Deprecated names whose lists, sets and bags keep fewer elements where the query says no number.
_LEGACY_SIZED = ("makelist", "makeset", "make_dictionary")
_LEGACY_SIZE = 128

OPERATORS = (TabularOperator("summarize", Summarize, _parse, bind_summarize, row_wise=False),)
