"""Equal steps along a timeline, as the activity plug-ins count them: each period has a number, 0 for the one of the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.errors import unsupported
from lurewire.kql.types import INTEGERS, KqlType

from .plugin_templates import expression, number

if TYPE_CHECKING:
    from lurewire.kql import plan

    from .plugin_templates import Arguments, Given

_TICKS_OF_A_DAY = 864_000_000_000
#: Types of a timeline.
TIMES = frozenset({KqlType.DATETIME, KqlType.TIMESPAN, KqlType.INT, KqlType.LONG, KqlType.REAL})
#: The types of a step along each of them.
_STEPS = {
    KqlType.DATETIME: frozenset({KqlType.TIMESPAN, KqlType.STRING}),
    KqlType.TIMESPAN: frozenset({KqlType.TIMESPAN}),
    KqlType.INT: INTEGERS,
    KqlType.LONG: INTEGERS,
    KqlType.REAL: INTEGERS | {KqlType.REAL},
}
#: Days that a calendar period has at least.
_DAYS = {"week": 7, "month": 28, "year": 365}
#: Months of the calendar periods that are not of one length.
_MONTHS = {"month": 1, "year": 12}
#: Periods of a window at most: each row stands in so many of them.
MOST_PERIODS = 10_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """A column, where it starts and ends, and its step: a span or one of week, month and year."""

    column: plan.Output
    start: tree.Expression
    end: tree.Expression
    step: int | float | str
    at: int

    @classmethod
    def of(cls, arguments: Arguments, column: int, start: int, end: int, step: int) -> Timeline:
        """The timeline that the arguments at these places say."""
        time = arguments.column(column, TIMES)
        bounds = _alike(time.type)
        value = arguments.constant(step, _STEPS[time.type])
        if isinstance(value, str) and value not in _DAYS:
            raise arguments.wrong(step, f"must be a span, or one of {', '.join(_DAYS)}")
        if not isinstance(value, str) and not value > 0:
            raise arguments.wrong(step, "must be above zero")
        return cls(time, arguments.typed(start, bounds), arguments.typed(end, bounds), value, arguments.node.at)

    @classmethod
    def from_zero(cls, arguments: Arguments, column: int, step: int) -> Timeline:
        """A timeline without bounds, whose periods count from its zero."""
        time, at = arguments.column(column, TIMES), arguments.node.at
        zero = {KqlType.DATETIME: "datetime(0001-01-01)", KqlType.TIMESPAN: "0s", KqlType.REAL: "0.0"}
        origin = expression(zero.get(time.type, "0"), {}, at)
        return cls(time, origin, origin, arguments.span(step, spans_along(time.type)), at)

    def slot(self, time: tree.Expression) -> tree.Expression:
        """The number of the period that a time is in."""
        return expression(self._slot(), {**self._given(), "TIME": time}, self.at)

    def _slot(self) -> str:
        if isinstance(self.step, str) and self.step in _MONTHS:
            months = "(getyear({0}) * 12 + getmonth({0}) - 1)"
            return f"{_floor(months.format('TIME'), 'STEP')} - {_floor(months.format('START'), 'STEP')}"
        if self.column.type is KqlType.REAL:
            return "tolong(bin((TIME - START) / todouble(STEP), 1.0))"
        return _floor("(tolong(TIME) - tolong(START))", "STEP")

    def moment(self, slot: tree.Expression) -> tree.Expression:
        """Where a period starts."""
        given = {**self._given(), "SLOT": slot}
        if isinstance(self.step, str) and self.step in _MONTHS:
            return expression("datetime_add('month', SLOT * STEP, ORIGIN)", given, self.at)
        if self.column.type is KqlType.REAL:
            return expression("START + SLOT * todouble(STEP)", given, self.at)
        return self.value(expression("tolong(START) + SLOT * STEP", given, self.at))

    def value(self, whole: tree.Expression) -> tree.Expression:
        """A whole number (ticks) as a value of the timeline."""
        text = {
            KqlType.DATETIME: "todatetime(WHOLE)",
            KqlType.TIMESPAN: "totimespan(WHOLE)",
            KqlType.INT: "toint(WHOLE)",
            KqlType.LONG: "tolong(WHOLE)",
            KqlType.REAL: "todouble(WHOLE)",
        }[self.column.type]
        return expression(text, {"WHOLE": whole}, self.at)

    def _given(self) -> dict[str, Given]:
        if not isinstance(self.step, str):
            return {"START": self.start, "STEP": number(self.step, self.at)}
        origin = expression(f"startof{self.step}(START)", {"START": self.start}, self.at)
        step = _MONTHS.get(self.step, 7 * _TICKS_OF_A_DAY)
        return {"START": origin, "ORIGIN": origin, "STEP": number(step, self.at)}

    def periods(self, arguments: Arguments, place: int) -> tuple[int, tree.Expression]:
        """How many periods a window at an argument spans at most, and which of them it does: a test of a row.

        The test reads the time and the number of a period, as the names that Timeline.given() says.
        """
        window = arguments.span(place, spans_along(self.column.type))
        if isinstance(self.step, str):
            count = int(window // (_DAYS[self.step] * _TICKS_OF_A_DAY)) + 2
            inside = expression(
                "tolong(TIME) >= tolong(NEXT) - WINDOW",
                {
                    "TIME": tree.Name(self.at, self.column.name),
                    "NEXT": self.moment(expression("_slot + 1", {}, self.at)),
                    "WINDOW": number(window, self.at),
                },
                self.at,
            )
        else:
            # Rounded down to whole steps, as the page of sliding_window_counts says; at least one.
            count, inside = max(int(window // self.step), 1), expression("true", {}, self.at)
        if count > MOST_PERIODS:
            what = f"{arguments.node.name}() with a window of more than {MOST_PERIODS} periods"
            raise unsupported(what, arguments.node.arguments[place].at)
        return count, inside

    def given(self) -> dict[str, Given]:
        """What templates call the parts of a timeline; `_slot` is a period's number in them."""
        time = tree.Name(self.at, self.column.name)
        slot = tree.Name(self.at, "\0slot")
        return {
            "TIME": time,
            "TIMELINE": self.column.name,
            "START": self.start,
            "END": self.end,
            "SLOT": self.slot(time),
            "LAST": self.slot(self.end),
            "MOMENT": self.moment(slot),
        }


def spans_along(kind: KqlType) -> frozenset[KqlType]:
    """The types of a span of a timeline of that type."""
    return _STEPS[kind] - {KqlType.STRING}


def _alike(kind: KqlType) -> frozenset[KqlType]:
    """The types of a value on a timeline."""
    if kind in (KqlType.DATETIME, KqlType.TIMESPAN):
        return frozenset({kind})
    return INTEGERS | {KqlType.REAL} if kind is KqlType.REAL else INTEGERS


def _floor(value: str, size: str) -> str:
    """Division of whole numbers towards minus infinity."""
    return f"(bin({value}, {size}) / {size})"
