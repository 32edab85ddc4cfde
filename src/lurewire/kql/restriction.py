"""The restrict statement: which tables, tabular lets and patterns the statements after it may name.

Source: https://learn.microsoft.com/kusto/query/restrict-statement. What was written before keeps what it could see.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import lets
from .types import FunctionCatalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from . import tree
    from .scope import Context
    from .types import Catalog, SavedFunction, Table


class RestrictedCatalog:
    """A catalog of which only tables that match one of some names can be seen."""

    def __init__(self, catalog: Catalog, patterns: Iterable[str]) -> None:
        self._catalog = catalog
        self._patterns = tuple(patterns)

    def table(self, name: str) -> Table | None:
        """The table of that exact name, if it may be seen."""
        return self._catalog.table(name) if _matches(name, self._patterns) else None

    def table_names(self) -> Iterable[str]:
        """The names of the tables that may be seen."""
        return (name for name in self._catalog.table_names() if _matches(name, self._patterns))

    def function(self, name: str) -> SavedFunction | None:
        """The saved function of that exact name, if it may be seen."""
        known = isinstance(self._catalog, FunctionCatalog) and _matches(name, self._patterns)
        return self._catalog.function(name) if known else None  # type: ignore[attr-defined]

    def function_names(self) -> Iterable[str]:
        """The names of the saved functions that may be seen."""
        if isinstance(self._catalog, FunctionCatalog):
            yield from (name for name in self._catalog.function_names() if _matches(name, self._patterns))

    @property
    def own_names(self) -> Iterable[str]:
        """The names of this workspace."""
        return getattr(self._catalog, "own_names", ())


def restrict(node: tree.Restriction, context: Context) -> None:
    """Hides what the statement does not name from the statements that follow."""
    of_query, of_catalog = set[str](), set[str]()
    for entity in node.entities:
        if entity.calls:
            lets.in_this_catalog(entity.calls, context)
            of_catalog.add(entity.pattern)
        elif entity.pattern == "*":
            of_query.add(entity.pattern)
        else:
            of_query.add(entity.pattern)
            of_catalog.add(entity.pattern)
    names = context.names
    for name in [*names.relations, *names.patterns]:
        if not _matches(name, of_query):
            names.forget(name)
    for name, function in list(names.functions.items()):
        if "(" not in name and not _matches(name, of_query) and lets.gives_rows(name, function, context):
            names.forget(name)
    names.catalog = RestrictedCatalog(context.catalog, of_catalog)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(
        re.fullmatch(".*".join(re.escape(part.replace("\0", "*")) for part in pattern.split("*")), name, re.DOTALL)
        for pattern in patterns
    )
