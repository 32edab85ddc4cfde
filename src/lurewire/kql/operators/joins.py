"""The join and lookup operators.

Source: https://learn.microsoft.com/kusto/query/join-operator and .../lookup-operator. Rows match where their keys are
equal as `==` says: a null key matches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to, widest
from lurewire.kql.errors import semantic
from lurewire.kql.scope import Projection, Rows
from lurewire.kql.types import NUMBERS, KqlType

from .columns import unresolved
from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_JOIN_KINDS = {
    "innerunique": "innerunique",
    "inner": "inner",
    "leftouter": "leftouter",
    "rightouter": "rightouter",
    "fullouter": "fullouter",
    "leftsemi": "leftsemi",
    "rightsemi": "rightsemi",
    "leftanti": "leftanti",
    "anti": "leftanti",
    "leftantisemi": "leftanti",
    "rightanti": "rightanti",
    "rightantisemi": "rightanti",
}
_LOOKUP_KINDS = {"leftouter": "leftouter", "inner": "inner"}


@dataclass(frozen=True, slots=True)
class Join(tree.Operator):
    """`join kind=... (right) on conditions`."""

    kind: str
    right: tree.Expression
    conditions: tuple[tree.Expression, ...]


@dataclass(frozen=True, slots=True)
class Lookup(Join):
    """`lookup kind=... (right) on conditions`."""


def _parse(parser: Parser, name: Token, kinds: dict[str, str], default: str) -> tuple[str, tree.Expression]:
    settings = parser.parameters()
    kind = default
    if "kind" in settings:
        given = settings["kind"]
        if not isinstance(given, tree.Name) or given.name not in kinds:
            shown = given.name if isinstance(given, tree.Name) else "kind"
            raise semantic(f"'{name.text}' operator: no kind '{shown}'", given.at, token=shown)
        kind = kinds[given.name]
    right = parser.postfix()
    parser.expect("on")
    return kind, right


def _parse_join(parser: Parser, name: Token) -> Join:
    kind, right = _parse(parser, name, _JOIN_KINDS, "innerunique")
    return Join(name.at, kind, right, parser.comma_list(parser.expression))


def _parse_lookup(parser: Parser, name: Token) -> Lookup:
    kind, right = _parse(parser, name, _LOOKUP_KINDS, "leftouter")
    return Lookup(name.at, kind, right, parser.comma_list(parser.expression))


def _side_of(node: tree.Expression) -> tuple[str, str] | None:
    """`$left.name` or `$right.name` as side and name."""
    match node:
        case tree.Member(target=tree.Name(name="$left" | "$right" as side), name=name):
            return side, name
        case tree.Index(target=tree.Name(name="$left" | "$right" as side), index=tree.Literal(value=str(name))):
            return side, name
        case _:
            return None


def _pairs(node: tree.Expression, operator: str) -> list[tuple[str, str, int]]:
    """The columns of both sides that one condition compares."""
    match node:
        case tree.Parenthesis(inner=inner):
            return _pairs(inner, operator)
        case tree.Name(name=name):
            return [(name, name, node.at)]
        case tree.Logic(operator="and", operands=operands):
            return [pair for operand in operands for pair in _pairs(operand, operator)]
        case tree.Binary(operator="==", left=left, right=right):
            sides = dict(side for side in (_side_of(left), _side_of(right)) if side is not None)
            if len(sides) == 2:
                return [(sides["$left"], sides["$right"], node.at)]
    message = f"'{operator}' operator: a condition is a column of both sides or $left.column == $right.column"
    raise semantic(message, node.at)


def _key(left: plan.Output, right: plan.Output, operator: str, at: int) -> tuple[plan.Scalar, plan.Scalar]:
    """Both sides of a condition as one type."""
    one: plan.Scalar = plan.ColumnRef(left.type, left.id)
    other: plan.Scalar = plan.ColumnRef(right.type, right.id)
    for column in (left, right):
        if column.type is KqlType.DYNAMIC:
            message = (
                f"'{operator}' operator: the key '{column.name}' is of a 'dynamic' type. Please use an explicit cast"
            )
            raise semantic(message, at, token=column.name)
    if one.type is other.type:
        return one, other
    if {one.type, other.type} <= NUMBERS:
        kind = widest(one.type, other.type)
        return to(one, kind), to(other, kind)
    message = (
        f"'{operator}' operator: the keys '{left.name}' ({left.type}) and '{right.name}' ({right.type}) differ in type"
    )
    raise semantic(message, at, token=left.name)


def _bind(node: Join, rows: Rows, context: Context) -> Rows:
    from lurewire.kql.compiler import bind_source  # noqa: PLC0415 - the compiler knows all operators

    operator = "lookup" if isinstance(node, Lookup) else "join"
    right = bind_source(node.right, context)
    keys: list[tuple[plan.Scalar, plan.Scalar]] = []
    right_keys: set[str] = set()
    for condition in node.conditions:
        for left_name, right_name, at in _pairs(condition, operator):
            one, other = rows.find(left_name), right.find(right_name)
            if one is None:
                raise unresolved(left_name, at, rows, operator)
            if other is None:
                raise unresolved(right_name, at, right, operator)
            keys.append(_key(one, other, operator, at))
            right_keys.add(right_name)
    context.row_wise = False
    if node.kind == "innerunique":
        # Which row stands for a key on the left side is not said.
        context.deterministic = False
    relation = plan.Join(
        node.kind,
        rows.relation,
        right.relation,
        tuple(keys),
        tuple((column.id, column.type) for column in rows.columns),
        tuple((column.id, column.type) for column in right.columns),
    )
    if node.kind in ("leftsemi", "leftanti"):
        return Rows(relation, rows.columns)
    if node.kind in ("rightsemi", "rightanti"):
        return Rows(relation, right.columns)
    projection = Projection(rows.columns, [column.name for column in right.columns])
    for column in right.columns:
        if operator == "join" or column.name not in right_keys:
            projection.add(column.name, column.id, column.type)
    return Rows(relation, tuple(projection.columns))


OPERATORS = (
    TabularOperator("join", Join, _parse_join, _bind, row_wise=False),
    TabularOperator("lookup", Lookup, _parse_lookup, _bind, row_wise=False),
)
