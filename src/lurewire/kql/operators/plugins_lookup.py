"""Plug-ins that look rows up by address range: ipv4_lookup, ipv6_lookup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic
from lurewire.kql.functions import FUNCTIONS
from lurewire.kql.scope import Projection, Rows
from lurewire.kql.types import KqlType

from .plugins_columns import column_of, constant
from .serialization import numbered

if TYPE_CHECKING:
    from lurewire.kql.scope import Context

    from .plugins_columns import Schema


def ipv4_lookup(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/ipv4-lookup-plugin."""
    return _lookup(node, schema, rows, context, "ipv4_is_in_range")


def ipv6_lookup(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/ipv6-lookup-plugin."""
    return _lookup(node, schema, rows, context, "ipv6_is_in_range")


def _lookup(node: tree.Call, schema: Schema | None, rows: Rows, context: Context, function: str) -> Rows:
    from lurewire.kql.compiler import bind_source  # noqa: PLC0415 - the compiler knows all operators

    if len(node.arguments) < 3 or schema is not None:
        raise semantic(
            f"{node.name}(): takes a table and two columns at least, and no schema", node.at, token=node.name
        )
    right = bind_source(node.arguments[0], context)
    source = column_of(node.arguments[1], rows, node.name)
    network = column_of(node.arguments[2], right, node.name)
    unmatched = False
    extra: list[tuple[plan.Output, plan.Output]] = []
    for argument in node.arguments[3:]:
        value = argument.value if isinstance(argument, tree.Named) else argument
        if isinstance(value, tree.Name):
            extra.append((column_of(value, rows, node.name), column_of(value, right, node.name)))
        else:
            unmatched = constant(value, context, node.name).value is True
    relation, ordinal = numbered(rows.relation, context)
    same = plan.Constant(KqlType.BOOL, value=True)
    keys: list[tuple[plan.Scalar, plan.Scalar]] = [(same, same)]
    keys = [(_ref(left), to(_ref(other), left.type)) for left, other in extra] or keys
    left_columns = (*((column.id, column.type) for column in rows.columns), (ordinal, KqlType.LONG))
    right_columns = tuple((column.id, column.type) for column in right.columns)
    joined = plan.Join("inner", relation, right.relation, tuple(keys), left_columns, right_columns)
    addresses = to(_ref(source), KqlType.STRING), to(_ref(network), KqlType.STRING)
    inside = plan.Call(KqlType.BOOL, FUNCTIONS[function], addresses)
    matched: plan.Relation = plan.Filter(joined, inside)
    projection = Projection(rows.columns)
    added = [column for column in right.columns if column.name not in {other.name for _, other in extra}]
    for column in added:
        projection.add(column.name, column.id, column.type)
    if not unmatched:
        return Rows(matched, tuple(projection.columns))
    return with_unmatched(rows, relation, ordinal, matched, added, projection, context)


def with_unmatched(
    rows: Rows,
    relation: plan.Relation,
    ordinal: int,
    matched: plan.Relation,
    added: list[plan.Output],
    projection: Projection,
    context: Context,
) -> Rows:
    """All rows of the input, those without a match with nothing beside them: a left outer join by the row's number."""
    kept = (ordinal, *(column.id for column in rows.columns))
    types = (KqlType.LONG, *(column.type for column in rows.columns))
    ids = tuple(context.new_id() for _ in kept)
    left = plan.Shared(relation, kept, ids)
    number = plan.ColumnRef(KqlType.LONG, ids[0])
    found = tuple((column.id, column.type) for column in added)
    joined = plan.Join(
        "leftouter",
        left,
        matched,
        ((number, plan.ColumnRef(KqlType.LONG, ordinal)),),
        tuple(zip(ids, types, strict=True)),
        (*found, (ordinal, KqlType.LONG)),
    )
    renumbered = dict(zip(kept, ids, strict=True))
    columns = tuple(
        plan.Output(column.name, renumbered.get(column.id, column.id), column.type) for column in projection.columns
    )
    return Rows(joined, columns)


def _ref(column: plan.Output) -> plan.ColumnRef:
    return plan.ColumnRef(column.type, column.id)
