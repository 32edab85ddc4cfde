"""The workspace: tables, a durable journal with its loader, KQL queries; a Log Analytics workspace on this machine."""

from lurewire.schemas import builtin_schema, known_schema
from lurewire.workspace.catalog import SchemaConflict, StoredColumn, StoredTable, Tables
from lurewire.workspace.control import control_routes
from lurewire.workspace.decoding import BadBody, RowDecoder
from lurewire.workspace.engine import NotOpen
from lurewire.workspace.external import Places
from lurewire.workspace.intake import Overloaded, Receipt
from lurewire.workspace.journal import JournalError
from lurewire.workspace.keys import SharedKeys, shared_key_routes
from lurewire.workspace.limits import LIMITS
from lurewire.workspace.loader import Loaded
from lurewire.workspace.losses import Losses
from lurewire.workspace.parquet import columns_of
from lurewire.workspace.pool import QueryClass, QueryTimeout, TooManyQueries
from lurewire.workspace.query import QueryLimits, QueryResult
from lurewire.workspace.repeats import Key, Span, make_key
from lurewire.workspace.resources import TABLE, resource_types
from lurewire.workspace.routes import query_routes
from lurewire.workspace.service import UnknownTable, Workspace, Workspaces
from lurewire.workspace.streams import FlowDefinition, Stream, StreamDefinition, misfits
from lurewire.workspace.watchlist_items import watchlist_routes
from lurewire.workspace.watchlists import Watchlists

__all__ = [
    "LIMITS",
    "TABLE",
    "BadBody",
    "FlowDefinition",
    "JournalError",
    "Key",
    "Loaded",
    "Losses",
    "NotOpen",
    "Overloaded",
    "Places",
    "QueryClass",
    "QueryLimits",
    "QueryResult",
    "QueryTimeout",
    "Receipt",
    "RowDecoder",
    "SchemaConflict",
    "SharedKeys",
    "Span",
    "StoredColumn",
    "StoredTable",
    "Stream",
    "StreamDefinition",
    "Tables",
    "TooManyQueries",
    "UnknownTable",
    "Watchlists",
    "Workspace",
    "Workspaces",
    "builtin_schema",
    "columns_of",
    "control_routes",
    "known_schema",
    "make_key",
    "misfits",
    "query_routes",
    "resource_types",
    "shared_key_routes",
    "watchlist_routes",
]
