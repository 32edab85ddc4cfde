"""Plug-ins that turn values into columns or columns into rows: bag_unpack, pivot, narrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import Consequence, semantic, unsupported
from lurewire.kql.functions import FUNCTIONS
from lurewire.kql.scope import Projection, Rows
from lurewire.kql.types import Column, KqlType

from .columns import unresolved
from .serialization import numbered
from .summarize import aggregate_calls

if TYPE_CHECKING:
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Schema:
    """A declared schema; `star` stands for the columns of the input."""

    star: bool
    columns: tuple[Column, ...]


def column_of(node: tree.Expression, rows: Rows, operator: str) -> plan.Output:
    """The column that an argument names."""
    while isinstance(node, tree.Parenthesis):
        node = node.inner
    if not isinstance(node, tree.Name):
        raise semantic(f"'{operator}': expected the name of a column", node.at)
    column = rows.find(node.name)
    if column is None:
        raise unresolved(node.name, node.at, rows, operator)
    return column


def constant(node: tree.Expression, context: Context, operator: str) -> plan.Constant:
    """An argument that must be a literal."""
    value = ExpressionBinder(context, None, operator).bind(node)
    if not isinstance(value, plan.Constant):
        raise unsupported(f"'{operator}' with an argument that is not a literal", node.at)
    return value


def explored(
    relation: plan.Relation, columns: tuple[plan.Output, ...], context: Context, plugin: str, at: int
) -> list[tuple[object, ...]]:
    """The rows of a query that is run first, to know the columns of this one."""
    if context.problems:
        raise Consequence(at)
    if context.explore is None:
        what = f"'{plugin}' without an output schema, where the columns would have to be found in the data first,"
        raise unsupported(what, at, plugin)
    context.deterministic = False
    return context.explore(plan.BoundQuery(relation, columns))


def _slots(column: plan.Output, rows: Rows, context: Context, at: int) -> dict[str, KqlType]:
    """The slots of all bags in a column, by name, with their types."""
    pair, key, kind = context.new_id(), context.new_id(), context.new_id()
    bag = plan.ColumnRef(column.type, column.id)
    is_bag = plan.Call(KqlType.STRING, FUNCTIONS["gettype"], (bag,))
    bags = plan.Filter(
        rows.relation, plan.Compare(KqlType.BOOL, "==", is_bag, plan.Constant(KqlType.STRING, "dictionary"))
    )
    pairs = plan.Expand(bags, (plan.Expansion(bag, pair),), pairs=True, index=context.new_id(), limit=None)
    element = plan.ColumnRef(KqlType.DYNAMIC, pair)
    name = to(plan.Path(KqlType.DYNAMIC, element, (0,)), KqlType.STRING)
    found = plan.Call(KqlType.STRING, FUNCTIONS["gettype"], (plan.Path(KqlType.DYNAMIC, element, (1,)),))
    distinct = plan.Summarize(pairs, ((key, name), (kind, found)), ())
    outputs = (plan.Output("key", key, KqlType.STRING), plan.Output("type", kind, KqlType.STRING))
    types: dict[str, KqlType | None] = {}
    for slot, text in explored(distinct, outputs, context, "bag_unpack", at):
        slot_type = _SLOT_TYPES.get(cast("str", text), KqlType.DYNAMIC)
        known = types.get(cast("str", slot))
        if text == "null":
            types.setdefault(cast("str", slot), None)
        else:
            types[cast("str", slot)] = slot_type if known in (None, slot_type) else KqlType.DYNAMIC
    return {name: types[name] or KqlType.DYNAMIC for name in sorted(types)}


_SLOT_TYPES = {
    "bool": KqlType.BOOL,
    "long": KqlType.LONG,
    "int": KqlType.LONG,
    "double": KqlType.REAL,
    "real": KqlType.REAL,
    "string": KqlType.STRING,
}


@dataclass(frozen=True, slots=True)
class _Settings:
    """The optional arguments of bag_unpack."""

    prefix: str
    conflict: str
    ignored: frozenset[str]


def _settings(node: tree.Call, context: Context) -> _Settings:
    given: dict[str, object] = {"OutputColumnPrefix": "", "columnsConflict": "error", "ignoredProperties": None}
    for position, argument in enumerate(node.arguments[1:]):
        name, value = list(given)[min(position, 2)], argument
        if isinstance(argument, tree.Named):
            name, value = argument.names[0], argument.value
        if position > 2 or name not in given:
            raise semantic(f"bag_unpack(): there is no parameter '{name}'", argument.at, token=name)
        given[name] = constant(value, context, node.name).value
    conflict = str(given["columnsConflict"])
    if conflict not in ("error", "replace_source", "keep_source"):
        raise semantic("bag_unpack(): columnsConflict is error, replace_source or keep_source", node.at)
    ignored = json.loads(str(given["ignoredProperties"] or "[]"))
    return _Settings(str(given["OutputColumnPrefix"] or ""), conflict, frozenset(ignored))


def bag_unpack(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/bag-unpack-plugin."""
    if not node.arguments:
        raise semantic("bag_unpack(): a column is missing", node.at, token=node.name)
    column = column_of(node.arguments[0], rows, node.name)
    if column.type is not KqlType.DYNAMIC:
        raise semantic(f"bag_unpack(): '{column.name}' must be dynamic, not {column.type}", node.at)
    settings = _settings(node, context)
    others = [other for other in rows.columns if other.id != column.id]
    if schema is None:
        slots = _slots(column, rows, context, node.at)
        wanted = {settings.prefix + slot: (slot, kind) for slot, kind in slots.items() if slot not in settings.ignored}
    else:
        kept = set() if schema.star or settings.conflict == "replace_source" else {other.name for other in others}
        wanted = {
            declared.name: (declared.name.removeprefix(settings.prefix), declared.type)
            for declared in schema.columns
            if declared.name not in kept and declared.name.startswith(settings.prefix)
        }
    projection = Projection(others)
    made: list[tuple[int, plan.Scalar]] = []
    for name, (slot, kind) in wanted.items():
        known = rows.find(name) if name != column.name else None
        if known is not None and settings.conflict == "keep_source":
            continue
        if known is not None and settings.conflict == "error":
            raise semantic(f"bag_unpack(): the input already has a column named '{name}'", node.at, token=name)
        number = context.new_id()
        value = plan.Path(KqlType.DYNAMIC, plan.ColumnRef(column.type, column.id), (slot,))
        made.append((number, to(value, kind)))
        projection.declare(name, number, kind, node.at, replace=True)
    relation = plan.Compute(rows.relation, tuple(made)) if made else rows.relation
    result = Rows(relation, tuple(projection.columns))
    return result if schema is None or schema.star else _declared(result, schema, context, node)


def _declared(rows: Rows, schema: Schema, context: Context, node: tree.Call) -> Rows:
    """Just the declared columns, in their order and of their types."""
    projection = Projection()
    made: list[tuple[int, plan.Scalar]] = []
    for declared in schema.columns:
        column = rows.find(declared.name)
        value: plan.Scalar = plan.Constant(declared.type, "" if declared.type is KqlType.STRING else None)
        if column is not None:
            value = to(plan.ColumnRef(column.type, column.id), declared.type)
        number = context.new_id()
        made.append((number, value))
        projection.declare(declared.name, number, declared.type, node.at)
    return Rows(plan.Compute(rows.relation, tuple(made)), tuple(projection.columns))


#: Aggregates that the documentation of pivot names.
_PIVOTED = frozenset(
    {"min", "max", "take_any", "any", "sum", "dcount", "avg", "stdev", "variance", "make_list", "make_bag", "make_set"}
    | {"count"}
)


def pivot(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/pivot-plugin."""
    if not node.arguments:
        raise semantic("pivot(): a column is missing", node.at, token=node.name)
    column = column_of(node.arguments[0], rows, node.name)
    rest = list(node.arguments[1:])
    call = tree.Call(node.at, "count", ())
    if rest and isinstance(rest[0], tree.Call):
        call = cast("tree.Call", rest.pop(0))
    if call.name not in _PIVOTED:
        raise semantic(f"pivot(): '{call.name}' is not an aggregate that pivot takes", call.at, token=call.name)
    read: set[int] = set()
    for argument in call.arguments:
        plan.column_ids(ExpressionBinder(context, rows, node.name).bind(argument), read)
    if rest:
        keys = [column_of(argument, rows, node.name) for argument in rest]
    else:
        keys = [other for other in rows.columns if other.id != column.id and other.id not in read]
    text = to(plan.ColumnRef(column.type, column.id), KqlType.STRING)
    if schema is None:
        number = context.new_id()
        distinct = plan.Summarize(rows.relation, ((number, text),), ())
        found = explored(distinct, (plan.Output("value", number, KqlType.STRING),), context, node.name, node.at)
        values = sorted(str(value) for (value,) in found)
    else:
        names = {key.name for key in keys}
        values = [declared.name for declared in schema.columns if declared.name not in names]
    projection = Projection()
    groups: list[tuple[int, plan.Scalar]] = []
    for key in keys:
        number = context.new_id()
        groups.append((number, plan.ColumnRef(key.type, key.id)))
        projection.declare(key.name, number, key.type, node.at)
    conditions = [plan.Compare(KqlType.BOOL, "==", text, plan.Constant(KqlType.STRING, value)) for value in values]
    calls = aggregate_calls(call, conditions, rows, context)
    for value, made in zip(values, calls, strict=True):
        projection.add(value, made.outputs[0], made.types[0])
    result = Rows(plan.Summarize(rows.relation, tuple(groups), tuple(calls)), tuple(projection.columns))
    return result if schema is None or schema.star else _declared(result, schema, context, node)


def narrow(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/narrow-plugin: a row for each cell, rows counted from 0."""
    if node.arguments or schema is not None:
        raise semantic("narrow(): takes no argument and no schema", node.at, token=node.name)
    relation, ordinal = numbered(rows.relation, context)
    ids = tuple(context.new_id() for _ in range(3))
    kept = tuple(dict.fromkeys((ordinal, *(column.id for column in rows.columns))))
    legs = []
    for column in rows.columns:
        own = tuple(context.new_id() for _ in kept)
        shared = plan.Shared(relation, kept, own)
        place = plan.Arithmetic(KqlType.LONG, "-", plan.ColumnRef(KqlType.LONG, own[0]), plan.Constant(KqlType.LONG, 1))
        value = to(plan.ColumnRef(column.type, own[kept.index(column.id)]), KqlType.STRING)
        cells = (place, plan.Constant(KqlType.STRING, column.name), value)
        legs.append(plan.Leg(shared, dict(zip(ids, cells, strict=True))))
    if not rows.columns:
        raise semantic("narrow(): the input has no columns", node.at, token=node.name)
    kinds = (("Row", KqlType.LONG), ("Column", KqlType.STRING), ("Value", KqlType.STRING))
    outputs = tuple(plan.Output(name, number, kind) for (name, kind), number in zip(kinds, ids, strict=True))
    return Rows(plan.Union(ids, tuple(kind for _, kind in kinds), tuple(legs)), outputs)
