"""Plug-ins that count the users of periods: the activity plug-ins, active_users_count, sliding_window_counts and so on.

Each is KQL over the numbers of periods. Distinct counts are exact. A row whose time is null is in no period.
What Microsoft's pages leave open is chosen so: the end of the analysis is a part of it; a period without rows gives no
row, unless its page says otherwise; rows before the start count in windows that look back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.types import KqlType

from .plugin_templates import Arguments, expression, key_of, names_of, number, operators_of, rows_of
from .plugin_timelines import Timeline, spans_along

if TYPE_CHECKING:
    from lurewire.kql import plan
    from lurewire.kql.scope import Context, Rows

    from .plugin_templates import Given
    from .plugins_columns import Schema

_MANY = 1_000
_LONGS = frozenset({KqlType.INT, KqlType.LONG})


def _users(arguments: Arguments, timeline: Timeline, dimensions: tuple[plan.Output, ...]) -> dict[str, Given]:
    """What the templates call the columns: the user's, the timeline's and the dimensions."""
    at = arguments.node.at
    user = arguments.column(0)
    if user.type is KqlType.DYNAMIC:
        raise arguments.wrong(0, "must not be dynamic")
    return {
        **timeline.given(),
        "ID": tree.Name(at, user.name),
        "DIMENSIONS": names_of(dimensions, at),
        "KEY": key_of(dimensions, at),
    }


def activity_counts_metrics(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/activity-counts-metrics-plugin."""
    arguments = Arguments.of(node, schema, rows, context, 5, _MANY)
    given = _users(arguments, Timeline.of(arguments, 1, 2, 3, 4), arguments.columns(5))
    return rows_of(
        """
        where TIME >= START and TIME <= END
        | summarize _rows = count() by _slot = SLOT, _id = ID, DIMENSIONS
        | summarize _first = min(_slot), _each = make_list_with_nulls(pack_array(_slot, _rows)) by _id, DIMENSIONS
        | mv-expand _each
        | extend _slot = tolong(_each[0])
        | summarize _rows = sum(tolong(_each[1])), _users = count(), _new = countif(_slot == _first) by _slot, DIMENSIONS
        | extend _key = KEY
        | sort by _key asc, _slot asc
        | extend _all = row_cumsum(_new, prev(_key) != _key)
        | sort by _slot asc, _key asc
        | project TIMELINE = MOMENT, DIMENSIONS, ['count'] = _rows, dcount = _users, new_dcount = _new,
            aggregated_dcount = _all
        """,
        given,
        rows,
        context,
        node.at,
    )


def activity_metrics(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/activity-metrics-plugin: each period against the one before it."""
    arguments = Arguments.of(node, schema, rows, context, 5, _MANY)
    given = _users(arguments, Timeline.of(arguments, 1, 2, 3, 4), arguments.columns(5))
    # A user of a period stands in it (0) and, as one who was there before, in the next one (1).
    return rows_of(
        """
        where TIME >= START and TIME <= END
        | summarize by _slot = SLOT, _id = ID, DIMENSIONS
        | extend _later = dynamic([0, 1])
        | mv-expand _later to typeof(long)
        | extend _slot = _slot + _later
        | summarize _here = countif(_later == 0), _before = countif(_later == 1) by _slot, _id, DIMENSIONS
        | summarize _users = sum(_here), _new = countif(_here == 1 and _before == 0),
            _kept = countif(_here == 1 and _before == 1), _prior = sum(_before) by _slot, DIMENSIONS
        | where _users > 0
        | sort by _slot asc, KEY asc
        | project TIMELINE = MOMENT, DIMENSIONS, dcount_values = _users, dcount_newvalues = _new,
            retention_rate = todouble(_kept) / _prior, churn_rate = todouble(_prior - _kept) / _prior
        """,
        given,
        rows,
        context,
        node.at,
    )


def activity_engagement(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/activity-engagement-plugin, with or without a start and an end."""
    arguments = Arguments.of(node, schema, rows, context, 4, _MANY)
    bounded = len(node.arguments) > 4
    first = 4 if bounded else 2
    timeline = Timeline.of(arguments, 1, 2, 3, 4) if bounded else Timeline.from_zero(arguments, 1, 2)
    if isinstance(timeline.step, str):
        raise arguments.wrong(first, "must be a span")
    count, _ = timeline.periods(arguments, first + 1)
    given = _users(arguments, timeline, arguments.columns(first + 2))
    limits = (
        expression("_slot >= 0 and _slot <= LAST", given, node.at) if bounded else expression("_inner > 0", {}, node.at)
    )
    before = expression("TIME <= END", given, node.at) if bounded else expression("true", {}, node.at)
    return rows_of(
        """
        where BEFORE
        | summarize by _start = SLOT, _id = ID, DIMENSIONS
        | extend _later = range(0, COUNT - 1, 1)
        | mv-expand _later to typeof(long)
        | extend _slot = _start + _later
        | summarize _here = countif(_later == 0) by _slot, _id, DIMENSIONS
        | summarize _inner = sum(_here), _outer = count() by _slot, DIMENSIONS
        | where LIMITS
        | sort by _slot asc, KEY asc
        | project TIMELINE = MOMENT, DIMENSIONS, dcount_activities_inner = _inner, dcount_activities_outer = _outer,
            activity_ratio = todouble(_inner) / _outer
        """,
        {**given, "COUNT": number(count, node.at), "BEFORE": before, "LIMITS": limits},
        rows,
        context,
        node.at,
    )


def sliding_window_counts(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/sliding-window-counts-plugin."""
    arguments = Arguments.of(node, schema, rows, context, 6, _MANY)
    timeline = Timeline.of(arguments, 1, 2, 3, 5)
    count, inside = timeline.periods(arguments, 4)
    given = _users(arguments, timeline, arguments.columns(6))
    return rows_of(
        """
        where TIME <= END
        | extend _later = range(0, COUNT - 1, 1)
        | extend _first = SLOT
        | mv-expand _later to typeof(long)
        | extend _slot = _first + _later
        | where _slot >= 0 and _slot <= LAST and (_later == 0 or INSIDE)
        | summarize _rows = count(), _users = dcount(ID) by _slot, DIMENSIONS
        | sort by _slot asc, KEY asc
        | project TIMELINE = MOMENT, DIMENSIONS, Count = _rows, Dcount = _users
        """,
        {**given, "COUNT": number(count, node.at), "INSIDE": inside},
        rows,
        context,
        node.at,
    )


def new_activity_metrics(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/new-activity-metrics-plugin: what became of those who came first together.

    A user of the table to look back at belongs to no cohort and is new to none.
    """
    arguments = Arguments.of(node, schema, rows, context, 5, _MANY)
    binder = ExpressionBinder(context, rows, node.name)
    rest = list(range(5, len(node.arguments)))
    lookback = node.arguments[rest.pop()] if rest and binder.is_tabular(node.arguments[-1]) else None
    cohort = rest.pop(0) if rest and not _is_column(node.arguments[rest[0]], rows) else None
    timeline = Timeline.of(arguments, 1, 2, 3, 4)
    given = _users(arguments, timeline, arguments.columns(rest[0], rest[-1] + 1) if rest else ())
    wanted = expression("true", {}, node.at)
    if cohort is not None:
        first = timeline.slot(arguments.typed(cohort, frozenset({timeline.column.type})))
        wanted = expression("tolong(_cell[0]) == FIRST", {"FIRST": first}, node.at)
    known = expression("true", {}, node.at)
    if lookback is not None:
        user = arguments.column(0).name
        if binder.rows_of(lookback).find(user) is None:
            raise arguments.wrong(len(node.arguments) - 1, f"must be a table with a column '{user}'")
        looked = tree.Pipeline(node.at, lookback, operators_of("project USER", {"USER": user}, node.at))
        known = tree.Membership(node.at, "!in", tree.Name(node.at, user), (tree.Subquery(node.at, looked),))
    name = timeline.column.name
    return rows_of(
        """
        where TIME >= START and TIME <= END and KNOWN
        | summarize by _slot = SLOT, _id = ID, DIMENSIONS
        | summarize _first = min(_slot), _each = make_list(_slot) by _id, DIMENSIONS
        | mv-expand _each to typeof(long)
        | summarize _count = count() by _first, _each, DIMENSIONS
        | summarize _cells = make_list_with_nulls(pack_array(_first, _each, _count)) by DIMENSIONS
        | mv-expand _cell = _cohorts(_cells, LAST)
        | where WANTED
        | extend _from = tolong(_cell[0]), _to = tolong(_cell[1]), _new = tolong(_cell[2]), _kept = tolong(_cell[3]),
            _lost = tolong(_cell[4])
        | sort by _from asc, _to asc, KEY asc
        | project FROM_TIME = FROM_MOMENT, TO_TIME = TO_MOMENT, DIMENSIONS, dcount_new_values = _new,
            dcount_retained_values = _kept, dcount_churn_values = _lost,
            retention_rate = todouble(_kept) / (_kept + _lost), churn_rate = todouble(_lost) / (_kept + _lost)
        """,
        {
            **given,
            "KNOWN": known,
            "WANTED": wanted,
            "FROM_TIME": f"from_{name}",
            "TO_TIME": f"to_{name}",
            "FROM_MOMENT": timeline.moment(expression("_from", {}, node.at)),
            "TO_MOMENT": timeline.moment(expression("_to", {}, node.at)),
        },
        rows,
        context,
        node.at,
    )


def _is_column(argument: tree.Expression, rows: Rows) -> bool:
    return isinstance(argument, tree.Name) and rows.find(argument.name) is not None


def active_users_count(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/active-users-count-plugin.

    A user counts in a period if, at one of the times that it has in it, the window that ends then holds enough periods
    with that user; the start of the window is not a part of it. Periods of appearance count from the start.
    """
    arguments = Arguments.of(node, schema, rows, context, 8, _MANY)
    timeline = Timeline.of(arguments, 1, 2, 3, 7)
    if timeline.column.type is KqlType.REAL:
        raise arguments.wrong(1, "must not be real")
    window, period = (arguments.span(place, spans_along(timeline.column.type)) for place in (4, 5))
    least = arguments.constant(6, _LONGS)
    assert not isinstance(least, str)
    given = _users(arguments, timeline, arguments.columns(8))
    return rows_of(
        """
        where TIME > START - WINDOW and TIME <= END
        | summarize _times = make_list(tolong(TIME) - tolong(START)) by _id = ID, DIMENSIONS
        | mv-expand _time = _active_times(_times, TICKS, PERIOD, LEAST) to typeof(long)
        | where _time >= 0
        | extend TIMELINE = AGAIN
        | summarize _users = dcount(_id) by _slot = SLOT, DIMENSIONS
        | sort by _slot asc, KEY asc
        | project TIMELINE = MOMENT, DIMENSIONS, dcount = _users
        """,
        {
            **given,
            "WINDOW": arguments.value(4),
            "TICKS": number(window, node.at),
            "PERIOD": number(period, node.at),
            "LEAST": number(least, node.at),
            "AGAIN": timeline.value(expression("_time + tolong(START)", given, node.at)),
        },
        rows,
        context,
        node.at,
    )


def session_count(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/session-count-plugin: the sessions that have a row in a period.

    A session of a user begins where none of its rows is in the span before, and goes on over the ends of periods.
    """
    arguments = Arguments.of(node, schema, rows, context, 6, _MANY)
    timeline = Timeline.of(arguments, 1, 2, 3, 4)
    span = arguments.typed(5, spans_along(timeline.column.type))
    dimensions = arguments.columns(6)
    given = _users(arguments, timeline, dimensions)
    user = key_of((arguments.column(0), *dimensions), node.at)
    return rows_of(
        """
        where TIME >= START - SPAN and TIME <= END
        | extend _key = USER
        | sort by _key asc, TIME asc
        | extend _begins = iff(prev(_key) == _key and TIME - prev(TIME) <= SPAN, 0, 1)
        | extend _session = row_cumsum(_begins)
        | where TIME >= START
        | summarize _sessions = dcount(_session) by _slot = SLOT, DIMENSIONS
        | sort by _slot asc, KEY asc
        | project TIMELINE = MOMENT, DIMENSIONS, count_sessions = _sessions
        """,
        {**given, "SPAN": span, "USER": user},
        rows,
        context,
        node.at,
    )
