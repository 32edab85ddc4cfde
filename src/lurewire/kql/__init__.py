"""The KQL room: query text to SQL, and the little that is needed to run it. It stands alone and knows no other room."""

from __future__ import annotations

from .compiler import CompiledQuery, compile  # noqa: A004 - the public name; see compiler.py
from .dialects.duckdb_time import datetime_from_text as datetime_from_text_sql
from .dialects.duckdb_time import timespan_from_text as timespan_from_text_sql
from .encode import json_value, row_encoder
from .errors import Diagnostic, KqlError
from .execution import Result, closed_connection, execute, run, translate_engine_error
from .render import Rendering
from .ticks import (
    datetime_from_ticks,
    datetime_text,
    ticks_from_datetime,
    ticks_from_text,
    timespan_from_text,
    timespan_text,
)
from .types import TYPE_NAMES, Catalog, Column, KqlType, Table, Tables
from .udf import register as register_functions

__all__ = [
    "TYPE_NAMES",
    "Catalog",
    "Column",
    "CompiledQuery",
    "Diagnostic",
    "KqlError",
    "KqlType",
    "Rendering",
    "Result",
    "Table",
    "Tables",
    "closed_connection",
    "compile",
    "datetime_from_text_sql",
    "datetime_from_ticks",
    "datetime_text",
    "execute",
    "json_value",
    "register_functions",
    "row_encoder",
    "run",
    "ticks_from_datetime",
    "ticks_from_text",
    "timespan_from_text",
    "timespan_from_text_sql",
    "timespan_text",
    "translate_engine_error",
]
