"""Tools for people who write KQL: a linter, a runner over files, and what they share. They stand on the KQL room alone."""

from .catalog import KnownCatalog, UsageProblem, read_functions, read_schemas, read_watchlists
from .charts import UnknownChart, save_chart, terminal_chart
from .checking import UNREADABLE, Checker, Finding
from .containers import CONTAINERS, Query, Unreadable, decode, queries_in, read_text
from .datafiles import DataFiles, open_files
from .documents import MalformedDocument, Text, read_documents
from .output import FORMATS, write_result
from .reports import REPORTS, report
from .rules import Rule, read_rule
from .terminal import inert, inert_lines

__all__ = [
    "CONTAINERS",
    "FORMATS",
    "REPORTS",
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
    "decode",
    "inert",
    "inert_lines",
    "open_files",
    "queries_in",
    "read_documents",
    "read_functions",
    "read_rule",
    "read_schemas",
    "read_text",
    "read_watchlists",
    "report",
    "save_chart",
    "terminal_chart",
    "write_result",
]
