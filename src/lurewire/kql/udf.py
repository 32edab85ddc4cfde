"""Functions that SQL alone cannot compute exactly: Python over Arrow batches, registered on a DuckDB connection.

A body takes and gives plain values: dynamic values as Python objects, datetimes and timespans as ticks. It is called once
for each distinct row of arguments in a batch. It must not read files, the network or the clock.
DuckDB needs numpy to register a Python function; nothing else here does.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from .types import KqlType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What is known of the place of an IP address: country, state, city, latitude, longitude, as far as each is known.
Geo = Callable[[str], Mapping[str, Any] | None]

#: Begins the name of every such function in SQL.
PREFIX = "kql_"

_DUCKDB = {
    KqlType.BOOL: "BOOLEAN",
    KqlType.INT: "INTEGER",
    KqlType.LONG: "BIGINT",
    KqlType.REAL: "DOUBLE",
    KqlType.STRING: "VARCHAR",
    KqlType.DATETIME: "BIGINT",
    KqlType.TIMESPAN: "BIGINT",
    KqlType.GUID: "VARCHAR",
    KqlType.DYNAMIC: "VARCHAR",
}
_ARROW = {
    KqlType.BOOL: pa.bool_(),
    KqlType.INT: pa.int32(),
    KqlType.LONG: pa.int64(),
    KqlType.REAL: pa.float64(),
    KqlType.STRING: pa.string(),
    KqlType.DATETIME: pa.int64(),
    KqlType.TIMESPAN: pa.int64(),
    KqlType.GUID: pa.string(),
    KqlType.DYNAMIC: pa.string(),
}


@dataclass(frozen=True, slots=True)
class Udf:
    """One function: its SQL name without the prefix, the types it takes and gives, and its body.

    The body is not called, and null comes out, where one of the first `required` arguments is null. guid values are
    texts.
    """

    name: str
    parameters: tuple[KqlType, ...]
    result: KqlType
    body: Callable[..., Any]
    required: int
    #: The body takes the lookup of places before its arguments.
    geo: bool = False

    @property
    def sql_name(self) -> str:
        """The name in SQL."""
        return PREFIX + self.name

    def batch(self, *columns: Any) -> Any:
        """The function over Arrow columns."""
        decode = [kind is KqlType.DYNAMIC for kind in self.parameters]
        known: dict[tuple[Any, ...], Any] = {}
        results = []
        for row in zip(*(column.to_pylist() for column in columns), strict=True):
            if row in known:
                results.append(known[row])
                continue
            value = self._one(row, decode)
            known[row] = value
            results.append(value)
        return pa.array(results, _ARROW[self.result])

    def _one(self, row: tuple[Any, ...], decode: Sequence[bool]) -> Any:
        if any(value is None for value in row[: self.required]):
            return None
        given = [
            _loads(value) if parse and value is not None else value for parse, value in zip(decode, row, strict=True)
        ]
        try:
            result = self.body(*given)
        except OverflowError:  # a number of a text that is longer than any real
            return None
        return dumps(result) if self.result is KqlType.DYNAMIC and result is not None else result


def _loads(text: str) -> Any:
    """The value of a dynamic's text; DuckDB takes `nan` and `inf` for JSON, which are texts here."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def dumps(value: Any) -> str:
    """A value as the compact JSON text of a dynamic; a number that JSON cannot write becomes its name."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value


def _shaped(function: Udf) -> Callable[..., Any]:
    """The batch function with as many parameters as DuckDB expects to see in its signature."""

    def batch(*columns: Any) -> Any:
        return function.batch(*columns)

    places = range(len(function.parameters))
    parameters = [inspect.Parameter(f"a{place}", inspect.Parameter.POSITIONAL_ONLY) for place in places]
    vars(batch)["__signature__"] = inspect.Signature(parameters)
    return batch


def names() -> frozenset[str]:
    """The SQL names of all such functions."""
    return frozenset(_all())


def _all() -> dict[str, Udf]:
    from .functions import UDFS  # noqa: PLC0415 - the registry's rows hold the functions declared with this module

    return UDFS


def _no_geo(address: str) -> None:
    del address
    raise LookupError("nothing is known here of the places of IP addresses")


def register(
    connection: duckdb.DuckDBPyConnection, wanted: Iterable[str] | None = None, *, geo: Geo | None = None
) -> None:
    """Makes the functions, or those of these SQL names, known to a connection's database; raises duckdb.Error.

    One that is there already is left as it is. Cursors of the connection see them too. `geo` is the lookup behind
    geo_info_from_ip_address(); without it a query that calls it stops with an error.
    """
    found = _all()
    for name in sorted(found if wanted is None else wanted):
        function = found[name]
        if function.geo:
            function = replace(function, body=partial(function.body, geo or _no_geo))
        try:
            connection.create_function(
                name,
                _shaped(function),
                [_DUCKDB[kind] for kind in function.parameters],
                _DUCKDB[function.result],
                type="arrow",
                null_handling="special",
            )
        except (duckdb.CatalogException, duckdb.NotImplementedException) as error:
            if "already" not in str(error):
                raise
