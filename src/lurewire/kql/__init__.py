"""The KQL room: query text to SQL, and the little that is needed to run it. It stands alone and knows no other room."""

from __future__ import annotations

from .compiler import CompiledQuery, compile  # noqa: A004 - the public name; see compiler.py
from .dialects.duckdb_time import datetime_from_text as datetime_from_text_sql
from .dialects.duckdb_time import timespan_from_text as timespan_from_text_sql
from .encode import json_value, row_encoder
from .errors import Diagnostic, KqlError, nearest
from .execution import closed_connection, execute, run, run_over, translate_engine_error
from .explain import explain
from .external import External
from .external import read as read_external
from .function_documents import functions_of, of_saved_search
from .loading import define as define_table
from .loading import load as load_table
from .render import Rendering
from .results import Result, RunResult
from .saved import check_function
from .sources import Source
from .ticks import (
    datetime_from_ticks,
    datetime_text,
    ticks_from_datetime,
    ticks_from_text,
    timespan_from_text,
    timespan_text,
)
from .types import (
    TYPE_NAMES,
    Catalog,
    Column,
    ExternalCatalog,
    FunctionCatalog,
    HiddenColumn,
    KqlType,
    PrincipalCatalog,
    QueryPrincipal,
    SavedFunction,
    Table,
    Tables,
    WatchlistCatalog,
    WildcardCatalog,
    WorkspaceCatalog,
)
from .udf import Geo
from .udf import register as register_functions

__all__ = [
    "TYPE_NAMES",
    "Catalog",
    "Column",
    "CompiledQuery",
    "Diagnostic",
    "External",
    "ExternalCatalog",
    "FunctionCatalog",
    "Geo",
    "HiddenColumn",
    "KqlError",
    "KqlType",
    "PrincipalCatalog",
    "QueryPrincipal",
    "Rendering",
    "Result",
    "RunResult",
    "SavedFunction",
    "Source",
    "Table",
    "Tables",
    "WatchlistCatalog",
    "WildcardCatalog",
    "WorkspaceCatalog",
    "check_function",
    "closed_connection",
    "compile",
    "datetime_from_text_sql",
    "datetime_from_ticks",
    "datetime_text",
    "define_table",
    "execute",
    "explain",
    "functions_of",
    "json_value",
    "load_table",
    "nearest",
    "of_saved_search",
    "read_external",
    "register_functions",
    "row_encoder",
    "run",
    "run_over",
    "ticks_from_datetime",
    "ticks_from_text",
    "timespan_from_text",
    "timespan_from_text_sql",
    "timespan_text",
    "translate_engine_error",
]
