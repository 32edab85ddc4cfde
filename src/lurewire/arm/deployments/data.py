"""Functions of templates on objects, arrays, dates and data URIs.

Source of each row: its URL, below https://learn.microsoft.com/azure/azure-resource-manager/templates/
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from lurewire.expressions import (
    TICKS_PER_DAY,
    TICKS_PER_SECOND,
    Function,
    FunctionError,
    Moment,
    MomentError,
    equal,
)

if TYPE_CHECKING:
    from lurewire.arm.deployments.context import Context

_DOC = "https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions"
_DURATION = re.compile(
    r"(?P<sign>-)?P(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,5})M)?(?:(?P<weeks>\d{1,5})W)?(?:(?P<days>\d{1,7})D)?"
    r"(?:T(?:(?P<hours>\d{1,7})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9})S)?)?"
)
_EPOCH = Moment.of(datetime(1970, 1, 1, tzinfo=UTC))
_DATA_URI = re.compile(r"data:(?P<media>[^,]*),(?P<data>.*)", re.DOTALL)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FunctionError("expects its parameter number 1 to be an object.")
    return value


def _items(_context: Context, arguments: list[Any]) -> Any:
    return [{"key": name, "value": value} for name, value in sorted(_object(arguments[0]).items(), key=_by_name)]


def _by_name(item: tuple[str, Any]) -> tuple[str, str]:
    return item[0].lower(), item[0]


def _object_keys(_context: Context, arguments: list[Any]) -> Any:
    return [name for name, _ in sorted(_object(arguments[0]).items(), key=_by_name)]


def _shallow_merge(_context: Context, arguments: list[Any]) -> Any:
    if not isinstance(arguments[0], list) or not all(isinstance(one, dict) for one in arguments[0]):
        raise FunctionError("expects its parameter to be an array of objects.")
    return {name: value for one in arguments[0] for name, value in one.items()}


def _try_get(_context: Context, arguments: list[Any]) -> Any:
    at = arguments[0]
    for step in arguments[1:]:
        if isinstance(at, dict) and isinstance(step, str):
            name = step if step in at else next((name for name in at if name.lower() == step.lower()), None)
            at = None if name is None else at[name]
        elif isinstance(at, list) and isinstance(step, int) and not isinstance(step, bool):
            at = at[step] if 0 <= step < len(at) else None
        elif at is not None:
            raise FunctionError("expects names of properties for objects and indexes for arrays.")
        if at is None:
            return None
    return at


def _flatten(_context: Context, arguments: list[Any]) -> Any:
    if not isinstance(arguments[0], list) or not all(isinstance(one, list) for one in arguments[0]):
        raise FunctionError("expects its parameter to be an array of arrays.")
    return [item for one in arguments[0] for item in one]


def _index_of(_context: Context, arguments: list[Any]) -> Any:
    return _index(arguments, last=False)


def _last_index_of(_context: Context, arguments: list[Any]) -> Any:
    return _index(arguments, last=True)


def _index(arguments: list[Any], *, last: bool) -> int:
    source, wanted = arguments
    if isinstance(source, list):
        found = [index for index, item in enumerate(source) if equal(item, wanted)]
        return (found[-1 if last else 0]) if found else -1
    if not isinstance(source, str) or not isinstance(wanted, str):
        raise FunctionError("expects a string and a string, or an array and an item.")
    lowered, part = source.lower(), wanted.lower()
    return lowered.rfind(part) if last else lowered.find(part)


def _fail(_context: Context, arguments: list[Any]) -> Any:
    raise FunctionError(f"ended the deployment: {arguments[0]}")


def _moment(value: Any) -> Moment:
    if not isinstance(value, str):
        raise FunctionError("expects a date and time as a string.")
    try:
        return Moment.parse(_iso(value))
    except MomentError as error:
        raise FunctionError(f"expects a date and time: {error}.") from None


def _iso(text: str) -> str:
    # `utcNow()` gives the basic form of ISO 8601 by default.
    basic = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", text)
    return "{}-{}-{}T{}:{}:{}Z".format(*basic.groups()) if basic else text


def formatted(moment: Moment, pattern: Any) -> str:
    """A moment by a .NET format string; raises `FunctionError`."""
    if not isinstance(pattern, str):
        raise FunctionError("expects a format as a string.")
    try:
        return moment.format(pattern)
    except MomentError as error:
        raise FunctionError(f"was invoked with a format that is not valid: {error}.") from None


def _date_time_add(_context: Context, arguments: list[Any]) -> Any:
    moment, duration = _moment(arguments[0]), _DURATION.fullmatch(str(arguments[1]))
    if duration is None or not any(value for name, value in duration.groupdict().items() if name != "sign"):
        raise FunctionError(f"expects a duration of ISO 8601, such as PT1H or -P3D, and not '{arguments[1]}'.")
    part = {name: int(value or 0) for name, value in duration.groupdict().items() if name != "sign"}
    sign = -1 if duration["sign"] else 1
    seconds = part["hours"] * 3600 + part["minutes"] * 60 + part["seconds"]
    ticks = (part["weeks"] * 7 + part["days"]) * TICKS_PER_DAY + seconds * TICKS_PER_SECOND
    try:
        moved = moment.plus_months(sign * (part["years"] * 12 + part["months"])).plus_ticks(sign * ticks)
    except MomentError as error:
        raise FunctionError(f"cannot be evaluated: {error}.") from None
    return formatted(moved, arguments[2] if len(arguments) > 2 else "yyyy-MM-ddTHH:mm:ssZ")


def _from_epoch(_context: Context, arguments: list[Any]) -> Any:
    seconds = arguments[0]
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise FunctionError("expects its parameter to be an integer.")
    try:
        return formatted(_EPOCH.plus_ticks(seconds * TICKS_PER_SECOND), "yyyy-MM-ddTHH:mm:ssZ")
    except MomentError as error:
        raise FunctionError(f"cannot be evaluated: {error}.") from None


def _to_epoch(_context: Context, arguments: list[Any]) -> Any:
    return (_moment(arguments[0]).ticks - _EPOCH.ticks) // TICKS_PER_SECOND


def _data_uri_to_string(_context: Context, arguments: list[Any]) -> Any:
    match = _DATA_URI.fullmatch(arguments[0]) if isinstance(arguments[0], str) else None
    if match is None:
        raise FunctionError("expects its parameter to be a data URI.")
    data = unquote_to_bytes(match["data"])
    if match["media"].lower().endswith(";base64"):
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise FunctionError("expects its parameter to be a data URI whose data is Base64.") from None
    return data.decode("utf-8", "replace")


_ARRAY, _OBJECT, _DATE = f"{_DOC}-array", f"{_DOC}-object", f"{_DOC}-date"

DATA: tuple[Function[Context], ...] = (
    Function("items", 1, 1, _items, f"{_OBJECT}#items"),
    Function("objectKeys", 1, 1, _object_keys, f"{_OBJECT}#objectkeys"),
    Function("shallowMerge", 1, 1, _shallow_merge, f"{_OBJECT}#shallowmerge"),
    Function("tryGet", 2, None, _try_get, f"{_OBJECT}#tryget"),
    Function("flatten", 1, 1, _flatten, f"{_ARRAY}#flatten"),
    Function("indexOf", 2, 2, _index_of, f"{_ARRAY}#indexof"),
    Function("lastIndexOf", 2, 2, _last_index_of, f"{_ARRAY}#lastindexof"),
    Function("fail", 1, 1, _fail, f"{_DOC}-deployment#fail"),
    Function("dateTimeAdd", 2, 3, _date_time_add, f"{_DATE}#datetimeadd"),
    Function("dateTimeFromEpoch", 1, 1, _from_epoch, f"{_DATE}#datetimefromepoch"),
    Function("dateTimeToEpoch", 1, 1, _to_epoch, f"{_DATE}#datetimetoepoch"),
    Function("dataUriToString", 1, 1, _data_uri_to_string, f"{_DOC}-string#datauritostring"),
)
