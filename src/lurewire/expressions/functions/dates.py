"""Date and time functions of workflows, without time zones and locales other than en-US."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.functions.arguments import integer, string, url
from lurewire.expressions.moments import TICKS_PER_DAY, TICKS_PER_SECOND, Moment, MomentError, timespan
from lurewire.expressions.table import Function

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_HOUR = 3600 * TICKS_PER_SECOND
_TICKS = {
    "second": TICKS_PER_SECOND,
    "minute": 60 * TICKS_PER_SECOND,
    "hour": _HOUR,
    "day": TICKS_PER_DAY,
    "week": 7 * TICKS_PER_DAY,
}
_MONTHS = {"month": 1, "year": 12}


class HasNow(Protocol):
    """A context that knows the time: aware, in UTC."""

    def now(self) -> datetime:
        """The time that `utcNow` gives."""
        ...


def _timestamp(arguments: list[Any], index: int) -> Moment:
    text = string(arguments, index)
    try:
        return Moment.parse(text)
    except MomentError as error:
        message = f"expects its parameter number {index + 1} to be a timestamp: {error}."
        raise FunctionError(message) from None


def _formatted(moment: Moment, arguments: list[Any], index: int) -> str:
    pattern = string(arguments, index) if len(arguments) > index else "o"
    try:
        return moment.format(pattern)
    except MomentError as error:
        message = f"was invoked with a format that is not valid: {error}."
        raise FunctionError(message) from None


def _moved(moment: Moment, amount: int, unit: str) -> Moment:
    try:
        if unit.lower() in _MONTHS:
            return moment.plus_months(amount * _MONTHS[unit.lower()])
        if unit.lower() in _TICKS:
            return moment.plus_ticks(amount * _TICKS[unit.lower()])
    except MomentError as error:
        message = f"cannot be evaluated: {error}."
        raise FunctionError(message) from None
    units = ", ".join(name.capitalize() for name in (*_TICKS, *_MONTHS))
    message = f"was invoked with the time unit '{unit}'; the units are {units}."
    raise FunctionError(message)


def _add(name: str, unit: str) -> Function[object]:
    def call(_: object, arguments: list[Any]) -> str:
        return _formatted(_moved(_timestamp(arguments, 0), integer(arguments, 1), unit), arguments, 2)

    return Function(name, 2, 3, call, url(name))


def _shift(name: str, sign: int) -> Function[object]:
    def call(_: object, arguments: list[Any]) -> str:
        moved = _moved(_timestamp(arguments, 0), sign * integer(arguments, 1), string(arguments, 2))
        return _formatted(moved, arguments, 3)

    return Function(name, 3, 4, call, url(name))


def _from_now(name: str, sign: int) -> Function[HasNow]:
    def call(context: HasNow, arguments: list[Any]) -> str:
        moved = _moved(Moment.of(context.now()), sign * integer(arguments, 0), string(arguments, 1))
        return _formatted(moved, arguments, 2)

    return Function(name, 2, 3, call, url(name))


def _start(name: str, floor: Callable[[Moment], Moment]) -> Function[object]:
    def call(_: object, arguments: list[Any]) -> str:
        return _formatted(floor(_timestamp(arguments, 0)), arguments, 1)

    return Function(name, 1, 2, call, url(name))


def _month_start(moment: Moment) -> Moment:
    return Moment((moment.date.replace(day=1).toordinal() - 1) * TICKS_PER_DAY, moment.utc)


def _format_date_time(_: object, arguments: list[Any]) -> str:
    if len(arguments) == 3 and string(arguments, 2).lower() not in ("en-us", ""):
        message = f"was invoked with the locale '{arguments[2]}'; only 'en-us' is known."
        raise FunctionError(message)
    return _formatted(_timestamp(arguments, 0), arguments, 1)


def _difference(_: object, arguments: list[Any]) -> str:
    return timespan(_timestamp(arguments, 1).ticks - _timestamp(arguments, 0).ticks)


DATES: tuple[Function[HasNow], ...] = (
    Function("utcNow", 0, 1, lambda context, a: _formatted(Moment.of(context.now()), a, 0), url("utcNow")),
    _add("addSeconds", "second"),
    _add("addMinutes", "minute"),
    _add("addHours", "hour"),
    _add("addDays", "day"),
    _shift("addToTime", 1),
    _shift("subtractFromTime", -1),
    _from_now("getFutureTime", 1),
    _from_now("getPastTime", -1),
    Function("formatDateTime", 1, 3, _format_date_time, url("formatDateTime")),
    _start("startOfHour", lambda moment: moment.floor(_HOUR)),
    _start("startOfDay", lambda moment: moment.floor(TICKS_PER_DAY)),
    _start("startOfMonth", _month_start),
    Function("dayOfWeek", 1, 1, lambda _, a: _timestamp(a, 0).date.isoweekday() % 7, url("dayOfWeek")),
    Function("dayOfMonth", 1, 1, lambda _, a: _timestamp(a, 0).date.day, url("dayOfMonth")),
    Function("dayOfYear", 1, 1, lambda _, a: _timestamp(a, 0).date.timetuple().tm_yday, url("dayOfYear")),
    Function("ticks", 1, 1, lambda _, a: _timestamp(a, 0).ticks, url("ticks")),
    Function("dateDifference", 2, 2, _difference, url("dateDifference")),
)
