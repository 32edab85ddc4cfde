"""Plug-ins that follow users through states: sequence_detect, funnel_sequence, funnel_sequence_completion.

What their pages leave open is told in `functions/plugin_bodies.py`. funnel_sequence has three results; like Microsoft's
analyser, evaluate gives the first: what came before and after the sequence.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR
from lurewire.kql.ticks import timespan_from_text
from lurewire.kql.types import INTEGERS, KqlType

from .plugin_templates import Arguments, expression, key_of, names_of, number, rows_of
from .plugin_timelines import TIMES, Timeline, spans_along

if TYPE_CHECKING:
    from lurewire.kql.scope import Context, Rows

    from .plugins_columns import Schema

_MANY = 1_000
#: Steps of a sequence: each has a bit of a long.
_STEPS = 60
_MOMENTS = frozenset({KqlType.DATETIME})
_SPANS = frozenset({KqlType.TIMESPAN})
_WHOLE_TIMES = TIMES - {KqlType.REAL}


def sequence_detect(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/sequence-detect-plugin: a row for each occurrence."""
    arguments = Arguments.of(node, schema, rows, context, 4, _MANY)
    time = arguments.column(0, _MOMENTS)
    gap, span = (arguments.span(place, _SPANS) for place in (1, 2))
    binder = ExpressionBinder(context, rows, node.name)
    steps = 0
    while 3 + steps < len(node.arguments):
        value = binder.bind(arguments.value(3 + steps))
        if value.type is not KqlType.BOOL and value is not ERROR:
            break
        steps += 1
    if not 1 <= steps <= _STEPS:
        raise semantic(f"{node.name}(): takes 1 to {_STEPS} predicates, not {steps}", node.at, token=node.name)
    mask = expression("0", {}, node.at)
    labels: list[str] = []
    for step in range(steps):
        given = {"REST": mask, "TEST": arguments.value(3 + step), "BIT": number(1 << step, node.at)}
        mask = expression("REST + iff(TEST, BIT, 0)", given, node.at)
        name = result_name(node.arguments[3 + step])
        labels.append(f"{name}_{time.name}" if name else time.name)
    dimensions = arguments.columns(3 + steps)
    times = tuple(
        tree.Named(node.at, (_unique(labels, step),), expression(f"todatetime(tolong(_found[{step}]))", {}, node.at))
        for step in range(steps)
    )
    return rows_of(
        """
        extend _mask = MASK
        | where _mask > 0 and isnotnull(TIME)
        | summarize _events = make_list_with_nulls(pack_array(tolong(TIME), _mask)) by DIMENSIONS
        | mv-expand _found = _sequences(_events, STEPS, GAP, SPAN)
        | extend _start = tolong(_found[0]), _end = tolong(_found[STEPS - 1])
        | sort by _start asc, _end asc, KEY asc, tostring(_found) asc
        | project DIMENSIONS, TIMES, Duration = totimespan(_end - _start)
        """,
        {
            "MASK": mask,
            "TIME": tree.Name(node.at, time.name),
            "DIMENSIONS": names_of(dimensions, node.at),
            "KEY": key_of(dimensions, node.at),
            "STEPS": number(steps, node.at),
            "GAP": number(gap, node.at),
            "SPAN": number(span, node.at),
            "TIMES": times,
        },
        rows,
        context,
        node.at,
    )


def _unique(labels: list[str], place: int) -> str:
    before = labels[:place].count(labels[place])
    return f"{labels[place]}{before}" if before else labels[place]


def _array(arguments: Arguments, place: int) -> list[object]:
    """The elements of an argument that must be a literal array with some."""
    argument = arguments.node.arguments[place]
    bound = ExpressionBinder(arguments.context, None, arguments.node.name).bind(arguments.value(place))
    if not isinstance(bound, plan.Constant):
        raise unsupported(f"{arguments.node.name}() with an argument {place + 1} that is not a literal", argument.at)
    held = json.loads(str(bound.value)) if bound.type is KqlType.DYNAMIC and bound.value is not None else None
    if not isinstance(held, list) or not held:
        raise arguments.wrong(place, "must be an array with elements")
    return held


def funnel_sequence(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/funnel-sequence-plugin."""
    arguments = Arguments.of(node, schema, rows, context, 8, 8)
    time = arguments.column(1, _WHOLE_TIMES)
    timeline = Timeline.of(arguments, 1, 2, 3, 5)
    gap = arguments.span(4, spans_along(time.type))
    state = arguments.column(6, frozenset({KqlType.STRING}))
    _array(arguments, 7)
    return rows_of(
        """
        where TIME >= START and TIME <= END
        | summarize _events = make_list_with_nulls(pack_array(tolong(TIME), STATE)) by _slot = SLOT, _id = ID
        | mv-expand _pair = _neighbours(_events, SEQUENCE, GAP)
        | extend _before = tostring(_pair[0]), _after = tostring(_pair[1])
        | summarize _users = count(), _all = make_list(_id) by _slot, _before, _after
        | sort by _slot asc, _users desc, _before asc, _after asc
        | project TIMELINE = MOMENT, ['prev'] = _before, ['next'] = _after, dcount = _users, samples = _samples(_all)
        """,
        {
            **timeline.given(),
            "ID": _user(arguments),
            "STATE": tree.Name(node.at, state.name),
            "SEQUENCE": arguments.value(7),
            "GAP": number(gap, node.at),
        },
        rows,
        context,
        node.at,
    )


def _user(arguments: Arguments) -> tree.Name:
    column = arguments.column(0)
    if column.type is KqlType.DYNAMIC:
        raise arguments.wrong(0, "must not be dynamic")
    return tree.Name(arguments.node.at, column.name)


def funnel_sequence_completion(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/funnel-sequence-completion-plugin."""
    arguments = Arguments.of(node, schema, rows, context, 8, 8)
    time = arguments.column(1, _WHOLE_TIMES)
    timeline = Timeline.of(arguments, 1, 2, 3, 4)
    state = arguments.column(5, frozenset({KqlType.STRING}))
    sequence = _array(arguments, 6)
    periods = [_period(arguments, element, time.type) for element in _array(arguments, 7)]
    spans = json.dumps(periods)
    return rows_of(
        """
        where TIME >= START and TIME <= END
        | summarize _events = make_list_with_nulls(pack_array(tolong(TIME), STATE)) by _slot = SLOT, _id = ID
        | extend _reached = _funnel(_events, SEQUENCE, PERIODS), _cell = range(0, CELLS - 1, 1)
        | mv-expand _cell to typeof(long)
        | extend _span = _cell / STEPS, _step = _cell % STEPS
        | summarize _users = countif(tolong(_reached[_span]) > _step) by _slot, _span, _step
        | sort by _slot asc, _span asc, _step asc
        | project TIMELINE = MOMENT, STATE_NAME = tostring(SEQUENCE[_step]), Period = PERIOD, dcount = _users
        """,
        {
            **timeline.given(),
            "ID": _user(arguments),
            "STATE": tree.Name(node.at, state.name),
            "STATE_NAME": state.name,
            "SEQUENCE": arguments.value(6),
            "PERIODS": tree.Literal(node.at, KqlType.DYNAMIC, spans),
            "PERIOD": expression(
                "tolong(PERIODS[_span])" if time.type in INTEGERS else "totimespan(tolong(PERIODS[_span]))",
                {"PERIODS": tree.Literal(node.at, KqlType.DYNAMIC, spans)},
                node.at,
            ),
            "CELLS": number(len(sequence) * len(periods), node.at),
            "STEPS": number(len(sequence), node.at),
        },
        rows,
        context,
        node.at,
    )


def _period(arguments: Arguments, element: object, kind: KqlType) -> int:
    """A span of the timeline as a whole number (ticks)."""
    found = element if kind in INTEGERS else timespan_from_text(element) if isinstance(element, str) else None
    if not isinstance(found, int) or isinstance(found, bool) or found <= 0:
        raise arguments.wrong(7, f"must be an array of spans above zero: {json.dumps(element)} is none")
    return found
