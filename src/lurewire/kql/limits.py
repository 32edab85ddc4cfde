"""The limits of the compiler, in one table."""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """A limit: what it is called, how much, of what."""

    name: str
    value: int
    unit: str


#: Longest query text. Azure's query API takes bodies of about this size.
QUERY_LENGTH = Limit("query length", 2_000_000, "characters")
#: Deepest nesting of expressions; the compiler is recursive and this keeps it far from the interpreter's stack limit.
NESTING = Limit("nesting", 64, "levels")
#: Most tabular operators in one query, after let statements are put in place.
OPERATORS = Limit("operators", 1_000, "operators")
#: Most SELECT levels in the finished SQL; DuckDB refuses expressions and queries much deeper.
SELECT_DEPTH = Limit("subqueries", 150, "levels")
#: Most expressions in a query, each use of a let counted with all that is in it.
EXPRESSION_NODES = Limit("expressions", 200_000, "expressions")
#: Elements that make_list() and make_set() keep when no maximum is given
#: (https://learn.microsoft.com/kusto/query/make-list-aggregation-function).
LIST_ELEMENTS = Limit("list elements", 1_048_576, "elements")
#: Most bytes that a query reads by externaldata (https://learn.microsoft.com/kusto/query/externaldata-operator: 100 MB).
EXTERNAL_BYTES = Limit("external data", 100 << 20, "bytes")

LIMITS = (QUERY_LENGTH, NESTING, OPERATORS, SELECT_DEPTH, EXPRESSION_NODES, LIST_ELEMENTS, EXTERNAL_BYTES)
