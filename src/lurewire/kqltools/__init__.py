"""Tools for people who write KQL: a linter, a runner over files, and what they share. They stand on the KQL room alone."""

from .catalog import KnownCatalog, UsageProblem, read_functions, read_schemas, read_watchlists
from .charts import UnknownChart, save_chart, terminal_chart
from .checking import UNREADABLE, Checker, Finding
from .containers import CONTAINERS, Query, Unreadable, decode, queries_in, read_text
from .datafiles import DataFiles, open_files
from .documents import MalformedDocument, Text, read_documents
from .functions import call_of
from .output import FORMATS, write_result
from .reports import REPORTS, report
from .rules import Rule, read_rule
from .sample_schemas import SAMPLE_FORMS, sample_schema
from .standard import columns_behind, published_columns
from .terminal import inert, inert_lines

__all__ = [
    "CONTAINERS",
    "FORMATS",
    "REPORTS",
    "SAMPLE_FORMS",
    "UNREADABLE",
    "Checker",
    "DataFiles",
    "Finding",
    "KnownCatalog",
    "MalformedDocument",
    "Query",
    "Rule",
    "Text",
    "UnknownChart",
    "Unreadable",
    "UsageProblem",
    "call_of",
    "columns_behind",
    "decode",
    "inert",
    "inert_lines",
    "open_files",
    "published_columns",
    "queries_in",
    "read_documents",
    "read_functions",
    "read_rule",
    "read_schemas",
    "read_text",
    "read_watchlists",
    "report",
    "sample_schema",
    "save_chart",
    "terminal_chart",
    "write_result",
]
