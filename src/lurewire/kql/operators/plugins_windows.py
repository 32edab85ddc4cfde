"""Plug-ins that look at the rows around: rolling_percentile, rows_near; and dcount_intersect, schema_merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR, Rows
from lurewire.kql.types import INTEGERS, NUMBERS, KqlType

from .plugin_templates import OWN, Arguments, expression, key_of, names_of, number, rows_of
from .plugin_timelines import MOST_PERIODS, TIMES, Timeline
from .serialization import numbered

if TYPE_CHECKING:
    from lurewire.kql.scope import Context

    from .plugins_columns import Schema

_MANY = 1_000
#: Sketches that dcount_intersect takes.
_SKETCHES = 16


def rolling_percentile(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/rolling-percentile-plugin: a row for each bin that has rows of its own."""
    arguments = Arguments.of(node, schema, rows, context, 5, _MANY)
    value = arguments.column(0, TIMES)
    percent = arguments.constant(1, NUMBERS - {KqlType.DECIMAL})
    assert not isinstance(percent, str)
    if not 0 <= percent <= 100:
        raise arguments.wrong(1, "must be from 0 to 100")
    bins = int(arguments.span(4, INTEGERS))
    if bins > MOST_PERIODS:
        raise arguments.wrong(4, f"must not be above {MOST_PERIODS}")
    timeline = Timeline.from_zero(arguments, 2, 3)
    dimensions = arguments.columns(5)
    shown = f"{percent:g}" if isinstance(percent, float) else str(percent)
    return rows_of(
        """
        extend _first = SLOT, _later = range(0, COUNT - 1, 1)
        | mv-expand _later to typeof(long)
        | extend _slot = _first + _later
        | where isnotnull(_slot)
        | summarize _value = percentile(VALUE, PERCENT), _own = countif(_later == 0) by _slot, DIMENSIONS
        | where _own > 0
        | sort by _slot asc, KEY asc
        | project TIMELINE = MOMENT, DIMENSIONS, LABEL = _value
        """,
        {
            **timeline.given(),
            "COUNT": number(bins, node.at),
            "VALUE": tree.Name(node.at, value.name),
            "PERCENT": number(percent, node.at),
            "DIMENSIONS": names_of(dimensions, node.at),
            "KEY": key_of(dimensions, node.at),
            "LABEL": f"rolling_{bins}_percentile_{value.name}_{shown}",
        },
        rows,
        context,
        node.at,
    )


def rows_near(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/rows-near-plugin.

    A row stays if the nearest row for which the condition holds is near enough: the last such row at or before it, found
    in the order of the rows, or the next one, found in the reverse order.
    """
    arguments = Arguments.of(node, schema, rows, context, 2, 3)
    condition = ExpressionBinder(context, rows, node.name).boolean(arguments.value(0), "rows_near(): the condition")
    before = int(_not_negative(arguments, 1))
    after = int(_not_negative(arguments, 2)) if len(node.arguments) > 2 else before
    relation, ordinal = numbered(rows.relation, context)
    place = plan.ColumnRef(KqlType.LONG, ordinal)
    matches, last, following = (context.new_id() for _ in range(3))
    none = plan.Constant(KqlType.LONG, None)
    found = plan.Conditional(KqlType.LONG, ((condition, place),), none)
    relation = plan.Compute(relation, ((matches, found),))
    match = plan.ColumnRef(KqlType.LONG, matches)
    relation = plan.Window(relation, ordinal, ((last, plan.WindowCall("maximum", KqlType.LONG, match)),))
    backwards = plan.Sort(relation, (plan.SortKey(place, descending=True, nulls_first=False),))
    again = context.new_id()
    mirrored = plan.WindowCall("maximum", KqlType.LONG, plan.Negate(KqlType.LONG, match))
    relation = plan.Window(plan.Number(backwards, again), again, ((following, mirrored),))
    # The next match is at -following, for the greatest of the negated places is the nearest one.
    since = plan.Arithmetic(KqlType.LONG, "-", place, plan.ColumnRef(KqlType.LONG, last))
    until = plan.Negate(
        KqlType.LONG, plan.Arithmetic(KqlType.LONG, "+", plan.ColumnRef(KqlType.LONG, following), place)
    )
    near = (
        plan.Compare(KqlType.BOOL, "<=", since, plan.Constant(KqlType.LONG, after)),
        plan.Compare(KqlType.BOOL, "<=", until, plan.Constant(KqlType.LONG, before)),
    )
    kept = plan.Filter(relation, plan.Logic(KqlType.BOOL, "or", near))
    return Rows(plan.Sort(kept, (plan.SortKey(place, descending=False, nulls_first=True),)), rows.columns)


def _not_negative(arguments: Arguments, place: int) -> int:
    value = arguments.constant(place, INTEGERS)
    assert isinstance(value, int)
    if value < 0:
        raise arguments.wrong(place, "must not be negative")
    return value


def dcount_intersect(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/dcount-intersect-plugin; exact, as sketches are here."""
    arguments = Arguments.of(node, schema, rows, context, 2, _SKETCHES)
    binder = ExpressionBinder(context, rows, node.name)
    for argument in node.arguments:
        value = binder.bind(argument)
        if value is not ERROR and value.type is not KqlType.DYNAMIC:
            raise semantic(f"{node.name}(): takes values of hll(), not {value.type}", argument.at)
    sizes = tuple(
        tree.Named(node.at, (f"s{place}",), expression(f"tolong(_sizes[{place}])", {}, node.at))
        for place in range(len(node.arguments))
    )
    given = {"SKETCHES": tuple(arguments.value(place) for place in range(len(node.arguments))), "SIZES": sizes}
    own = names_of(rows.columns, node.at)
    text = "extend _sizes = _intersections(pack_array(SKETCHES)) | project OWN_COLUMNS, SIZES"
    return rows_of(text, {**given, "OWN_COLUMNS": own}, rows, context, node.at)


_SCHEMA = (
    ("ColumnName", KqlType.STRING, "tostring"),
    ("ColumnOrdinal", KqlType.INT, "toint"),
    ("DataType", KqlType.STRING, "tostring"),
    ("ColumnType", KqlType.STRING, "tostring"),
)


def schema_merge(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/schema-merge-plugin: over rows as getschema makes them, in their order."""
    arguments = Arguments.of(node, schema, rows, context, 0, 1)
    for argument in node.arguments:
        if isinstance(argument, tree.Named) and argument.names != ("PreserveOrder",):
            raise arguments.wrong(0, f"has no parameter '{argument.names[0]}'")
    keep = bool(arguments.constant(0, frozenset({KqlType.BOOL}))) if node.arguments else True
    for name, kind, _ in _SCHEMA:
        column = rows.find(name)
        if column is None or (column.type is not kind and not {column.type, kind} <= INTEGERS):
            raise semantic(
                f"{node.name}(): the input must have the column '{name}' of type {kind}", node.at, token=name
            )
    relation, ordinal = numbered(rows.relation, context)
    place = plan.Output(f"{OWN}place", ordinal, KqlType.LONG)
    made = tuple(
        tree.Named(node.at, (name,), expression(f"{convert}(_row[{position}])", {}, node.at))
        for position, (name, _, convert) in enumerate(_SCHEMA)
    )
    return rows_of(
        """
        summarize _all = make_list_with_nulls(pack_array(_place, ColumnName, ColumnOrdinal, DataType, ColumnType))
        | mv-expand _row = _schemas(_all, KEEP)
        | project MADE
        """,
        {
            "KEEP": tree.Literal(node.at, KqlType.BOOL, keep),
            "MADE": made,
        },
        Rows(relation, (*rows.columns, place)),
        context,
        node.at,
    )
