"""Values between Python, JSON and the plan.

Results are encoded as the Log Analytics query API does it (contract section D.1): datetimes with up to seven digits and
Z, timespans in the constant format, NaN and infinities as strings, decimals as strings, dynamic values as strings that
hold JSON, null as null except for strings, which are empty.
"""

from __future__ import annotations

import decimal
import math
import uuid
from typing import TYPE_CHECKING, cast

from . import ticks
from .types import KqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .literals import Value

Json = bool | int | float | str | None


def _real(value: float) -> Json:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _datetime(value: int) -> Json:
    # Arithmetic can leave the years 1 to 9999; such a value is no datetime.
    return ticks.datetime_text(value, trim=True) if 0 <= value <= ticks.MAX_DATETIME else None


def decimal_text(value: decimal.Decimal) -> str:
    """A decimal without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_ENCODERS: dict[KqlType, Callable[..., Json]] = {
    KqlType.REAL: _real,
    KqlType.DECIMAL: decimal_text,
    KqlType.DATETIME: _datetime,
    KqlType.TIMESPAN: ticks.timespan_text,
    KqlType.GUID: str,
}


def json_value(kind: KqlType, value: object) -> Json:
    """A result value, as the engine gives it, as JSON."""
    if value is None:
        return "" if kind is KqlType.STRING else None
    encoder = _ENCODERS.get(kind)
    return cast("Json", value) if encoder is None else encoder(value)


def row_encoder(kinds: Sequence[KqlType]) -> Callable[[Sequence[object]], list[Json]]:
    """A function that encodes whole rows; what needs no change is passed as it is."""
    encoders = [None if kind is not KqlType.STRING and kind not in _ENCODERS else kind for kind in kinds]
    return lambda row: [
        cast("Json", value) if kind is None else json_value(kind, value)
        for kind, value in zip(encoders, row, strict=True)
    ]


def dynamic_value(kind: KqlType, value: Value) -> object:
    """A literal inside dynamic(...), as a JSON value."""
    if kind is KqlType.DATETIME and isinstance(value, int):
        return ticks.datetime_text(value)
    return json_value(kind, value)


def constant_as(source: KqlType, value: Value, target: KqlType) -> Value:
    """A constant as another type, for the cells of datatable; ValueError where KQL has no conversion."""
    if target is KqlType.DYNAMIC:
        import json  # noqa: PLC0415 - rarely needed

        return json.dumps(dynamic_value(source, value), ensure_ascii=False)
    if source is KqlType.STRING and isinstance(value, str):
        return _from_text(value, target)
    if target is KqlType.STRING:
        return _text(source, value)
    if target is KqlType.BOOL and isinstance(value, int):
        return value != 0
    if isinstance(value, bool) and target in (KqlType.INT, KqlType.LONG):
        return int(value)
    if target is KqlType.REAL and isinstance(value, int | decimal.Decimal):
        return float(value)
    if target in (KqlType.INT, KqlType.LONG) and isinstance(value, int | float) and math.isfinite(value):
        return int(value)
    if target is KqlType.DECIMAL and isinstance(value, int | float):
        return decimal.Decimal(str(value))
    raise ValueError(target)


def _from_text(text: str, target: KqlType) -> Value:
    if target is KqlType.DATETIME:
        return ticks.ticks_from_text(text)
    if target is KqlType.TIMESPAN:
        return ticks.timespan_from_text(text)
    if target is KqlType.GUID:
        return uuid.UUID(text)
    raise ValueError(target)


def _text(source: KqlType, value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    encoded = json_value(source, value)
    return "" if encoded is None else str(encoded)
