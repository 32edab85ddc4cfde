"""The scan operator: sequences of rows that match steps.

Source: https://learn.microsoft.com/kusto/query/scan-operator. What an expression of a step takes from the row alone is
computed before the scan.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.constants import evaluated
from lurewire.kql.conversions import to
from lurewire.kql.errors import Consequence, semantic, unsupported
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import NUMBERS, KqlType

from .registry import TabularOperator
from .rows import bind_order, parse_keys
from .serialization import is_serialized, numbered

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_OUTPUTS = ("all", "last", "none")


@dataclass(frozen=True, slots=True)
class Step(tree.Node):
    """`step name output=... : condition => column = value, ...`."""

    name: str
    output: str
    condition: tree.Expression
    assignments: tuple[tree.Named, ...]


@dataclass(frozen=True, slots=True)
class Scan(tree.Operator):
    """`scan with_match_id=name order by keys partition by columns declare (columns) with (steps)`."""

    match: str | None
    order: tuple[tree.Ordered, ...]
    keys: tuple[tree.Expression, ...]
    declared: tuple[tree.Parameter, ...]
    steps: tuple[Step, ...]


def _parse(parser: Parser, name: Token) -> Scan:
    match = None
    if parser.accept("with_match_id"):
        parser.expect("=")
        match = parser.name()
    order: tuple[tree.Ordered, ...] = ()
    keys: tuple[tree.Expression, ...] = ()
    if parser.accept("order"):
        order = parse_keys(parser)
    if parser.accept("partition"):
        parser.expect("by")
        keys = parser.comma_list(parser.expression)
    declared: tuple[tree.Parameter, ...] = ()
    if parser.accept("declare"):
        parser.expect("(")
        declared = parser.comma_list(lambda: _parse_declared(parser))
        parser.expect(")")
    parser.expect("with")
    parser.expect("(")
    parser.enter(name.at)
    steps: list[Step] = []
    while not parser.at_text(")"):
        steps.append(_parse_step(parser))
        parser.expect(";")
    parser.depth -= 1
    parser.expect(")")
    if not steps:
        raise semantic("'scan' operator: it needs a step", name.at)
    return Scan(name.at, match, order, keys, declared, tuple(steps))


def _parse_declared(parser: Parser) -> tree.Parameter:
    at, name = parser.current.at, parser.name()
    parser.expect(":")
    kind = parser.type_name()
    return tree.Parameter(at, name, kind, default=parser.expression() if parser.accept("=") else None)


def _parse_step(parser: Parser) -> Step:
    at = parser.expect("step").at
    name = parser.name()
    if parser.at_text("optional"):
        raise unsupported("an optional step of scan", parser.current.at, "optional")
    output = "all"
    if parser.accept("output"):
        parser.expect("=")
        output = (parser.accept(*_OUTPUTS) or parser.fail(f"expected one of {', '.join(_OUTPUTS)}")).text
    parser.expect(":")
    condition = parser.expression()
    assignments: tuple[tree.Named, ...] = ()
    if parser.accept("=>"):
        assignments = parser.comma_list(lambda: _parse_assignment(parser))
    return Step(at, name, output, condition, assignments)


def _parse_assignment(parser: Parser) -> tree.Named:
    at, name = parser.current.at, parser.name()
    parser.expect("=")
    return tree.Named(at, (name,), parser.expression())


class _StepBinder(ExpressionBinder):
    """Binds the expressions of one step: `step.column` reads the state, a declared column is its default."""

    def __init__(self, scanned: _Scanned, step: int) -> None:
        super().__init__(scanned.context, scanned.rows, "scan")
        self._scanned = scanned
        self._step = step

    def name(self, node: tree.Name) -> plan.Scalar:
        declared = self._scanned.declared.get(node.name)
        return super().name(node) if declared is None else declared[1]

    def member(self, node: tree.Member) -> plan.Scalar:
        place = self._scanned.places.get(node.target.name) if isinstance(node.target, tree.Name) else None
        if place is None or node.call is not None:
            return super().member(node)
        if place > self._step:
            names = list(self._scanned.places)
            message = (
                f"'scan' operator: the state of step '{names[self._step]}' knows nothing of the later '{names[place]}'"
            )
            raise semantic(message, node.at, token=names[place])
        return self._scanned.state(place, node)


@dataclass(slots=True)
class _Scanned:
    """A scan being bound: its rows, declared columns by name, steps by place, and what is read of the state."""

    rows: Rows
    context: Context
    places: dict[str, int]
    declared: dict[str, tuple[plan.Output, plan.Constant]]
    columns: dict[tuple[int, str], plan.StateColumn]
    before: list[tuple[int, plan.Scalar]]

    def state(self, step: int, node: tree.Member) -> plan.ColumnRef:
        """The column through which `step.name` is read."""
        known = self.columns.get((step, node.name))
        if known is None:
            declared, column = self.declared.get(node.name), self.rows.find(node.name)
            number = self.context.new_id()
            if declared is not None:
                place = list(self.declared).index(node.name)
                known = plan.StateColumn(number, declared[0].type, step, place, declared=True)
            elif column is not None:
                known = plan.StateColumn(number, column.type, step, column.id, declared=False)
            else:
                raise semantic(f"'scan' operator: there is no column '{node.name}'", node.at, token=node.name)
            self.columns[step, node.name] = known
        return plan.ColumnRef(known.type, known.id)

    def split(self, value: plan.Scalar, at: int) -> plan.Scalar:
        """The value with all that it takes from the row alone as columns computed before."""
        read: set[int] = set()
        plan.column_ids(value, read)
        if read.isdisjoint(column.id for column in self.columns.values()):
            if isinstance(value, plan.ColumnRef | plan.Constant | plan.Parameter):
                return value
            number = self.context.new_id()
            self.before.append((number, value))
            return plan.ColumnRef(value.type, number)
        if isinstance(value, plan.InQuery | plan.ScalarQuery):
            raise unsupported("'scan' operator: a tabular expression beside the state", at)
        return _rebuilt(value, lambda part: self.split(part, at))


def _rebuilt(value: plan.Scalar, change: Any) -> plan.Scalar:
    """The value with the expressions below it changed."""

    def changed(part: Any) -> Any:
        if isinstance(part, plan.Scalar):
            return change(part)
        return tuple(changed(item) for item in part) if isinstance(part, tuple) else part

    if isinstance(value, plan.ColumnRef):
        return value
    names = [field.name for field in dataclasses.fields(value)]
    return dataclasses.replace(value, **{name: changed(getattr(value, name)) for name in names})


def _bind(node: Scan, rows: Rows, context: Context) -> Rows:
    if not node.order and not is_serialized(rows.relation):
        raise semantic("'scan' operator: the rows have no order; sort or serialize them first", node.at)
    binder = ExpressionBinder(context, rows, "scan")
    keys = [binder.bind(key) for key in node.keys]
    if any(not isinstance(key, plan.ColumnRef) for key in keys):
        raise semantic("'scan' operator: a column is expected after 'partition by'", node.at)
    scanned = _Scanned(rows, context, _places(node), _declared(node, rows, context), {}, [])
    steps = tuple(_step(step, place, scanned) for place, step in enumerate(node.steps))
    relation = rows.relation
    if node.order:
        relation = plan.Sort(relation, bind_order(node.order, rows, context, "scan"))
    relation, ordinal = numbered(relation, context)
    if scanned.before:
        relation = plan.Compute(relation, tuple(scanned.before))
    match = context.new_id()
    relation = plan.Steps(
        relation,
        ordinal,
        tuple(key.id for key in keys if isinstance(key, plan.ColumnRef)),
        tuple((column.id, column.type) for column in rows.columns),
        tuple((column.id, default) for column, default in scanned.declared.values()),
        match,
        tuple(scanned.columns.values()),
        steps,
    )
    projection = Projection(rows.columns)
    for column, _ in scanned.declared.values():
        projection.declare(column.name, column.id, column.type, node.at)
    if node.match is not None:
        projection.declare(node.match, match, KqlType.LONG, node.at)
    return Rows(relation, tuple(projection.columns))


def _places(node: Scan) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, step in enumerate(node.steps):
        if step.name in places:
            raise semantic(f"'scan' operator: the step '{step.name}' is defined twice", step.at, token=step.name)
        places[step.name] = place
    return places


def _declared(node: Scan, rows: Rows, context: Context) -> dict[str, tuple[plan.Output, plan.Constant]]:
    """The declared columns with what they are where no step assigns them."""
    found: dict[str, tuple[plan.Output, plan.Constant]] = {}
    for item in node.declared:
        assert item.type is not None
        if item.name in found or rows.find(item.name) is not None:
            raise semantic(f"'scan' operator: a column named '{item.name}' is declared twice", item.at, token=item.name)
        value: plan.Scalar = plan.Constant(item.type, "" if item.type is KqlType.STRING else None)
        if item.default is not None:
            value = ExpressionBinder(context, None, "scan").bind(item.default)
            value = _converted(value, item.type, f"the default of '{item.name}'", item.at)
        default = evaluated(value, f"'scan' operator: the default of '{item.name}'", item.at, context)
        if default is None:
            raise Consequence(item.at)
        found[item.name] = plan.Output(item.name, context.new_id(), item.type), default
    return found


def _converted(value: plan.Scalar, kind: KqlType, what: str, at: int) -> plan.Scalar:
    if value is ERROR:
        raise Consequence(at)
    constant = isinstance(value, plan.Constant) and value.value is None
    if value.type is kind or constant or {value.type, kind} <= NUMBERS or KqlType.DYNAMIC in (value.type, kind):
        return to(value, kind)
    raise semantic(f"'scan' operator: {what} must be of type {kind}, not {value.type}", at)


def _step(node: Step, place: int, scanned: _Scanned) -> plan.Step:
    binder = _StepBinder(scanned, place)
    condition = binder.boolean(node.condition, f"'scan' operator: the condition of '{node.name}'")
    if condition is ERROR:
        raise Consequence(node.at)
    assignments: dict[int, plan.Scalar] = {}
    for item in node.assignments:
        (name,) = item.names
        declared = scanned.declared.get(name)
        position = list(scanned.declared).index(name) if declared is not None else -1
        if declared is None or position in assignments:
            problem = "is assigned twice" if declared is not None else "is not declared"
            raise semantic(f"'scan' operator: the column '{name}' {problem}", item.at, token=name)
        value = _converted(binder.bind(item.value), declared[0].type, f"the value of '{name}'", item.at)
        assignments[position] = scanned.split(value, item.at)
    return plan.Step(node.output, scanned.split(condition, node.at), tuple(assignments.items()))


OPERATORS = (TabularOperator("scan", Scan, _parse, _bind, row_wise=False),)
