"""The support table of the manual, made from the registries: `python -m lurewire.kql.support [--check] FILE`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import known_names
from .expression_parser import INFIX
from .functions import AGGREGATES, FAMILIES, FUNCTIONS
from .functions.aggregates import AGGREGATES as AGGREGATE_ROWS
from .operators import OPERATORS, ROWS, SOURCES
from .operators.evaluate import PLUGINS
from .operators.registry import DOCUMENTATION
from .profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HEAD = """# KQL: what is supported

Generated from the registries of `lurewire.kql` by `python -m lurewire.kql.support`; do not edit. What is listed as
supported follows Microsoft's documentation of it and the rules in [semantics](semantics.md). What is listed as not
supported is refused with an error that names it.
"""

#: Names on Microsoft's list of functions that are forms of the language: the parser and the compiler know them.
_FORMS = frozenset({"cluster", "database", "externaldata", "graph", "materialize", "table", "typeof", "workspace"})


def table() -> str:
    """The whole page, as Markdown."""
    transform = PROFILES["transform"]
    parts = [_HEAD, "## Tabular operators\n", "| operator | other names | in transformations |", "| --- | --- | --- |"]
    parts.extend(
        f"| [{row.name}]({row.documentation}) | {', '.join(row.aliases)} | {_yes(row.name in (transform.operators or ()))} |"
        for row in {row.name: row for row in ROWS}.values()
    )
    parts.append("\n## Scalar operators\n")
    parts.append(", ".join(f"`{'matches regex' if name == 'matches' else name}`" for name in INFIX))
    for family, rows in FAMILIES.items():
        parts.append(f"\n## {family} functions\n")
        parts.extend(("| function | other names | in transformations |", "| --- | --- | --- |"))
        parts.extend(
            f"| [{row.name}]({row.documentation}) | {', '.join(row.aliases)} | {_yes(_allowed(row.name, row.aliases))} |"
            for row in rows
        )
    parts.extend(("\n## Aggregates\n", "| aggregate | other names |", "| --- | --- |"))
    parts.extend(f"| [{row.name}]({row.documentation}) | {', '.join(row.aliases)} |" for row in AGGREGATE_ROWS)
    parts.append("\n## Plug-ins of evaluate\n")
    parts.append(", ".join(f"[{name}]({DOCUMENTATION}{name.replace('_', '-')}-plugin)" for name in sorted(PLUGINS)))
    parts.append("\n## Forms of the language\n")
    parts.append(_names(_FORMS))
    parts.append("\n## Not supported\n")
    for title, known, have in (
        ("Tabular operators", known_names.TABULAR_OPERATORS, {*OPERATORS, *SOURCES}),
        ("Functions", known_names.FUNCTIONS, {*FUNCTIONS, *_FORMS}),
        ("Aggregates", known_names.AGGREGATES, AGGREGATES),
        ("Plug-ins", known_names.PLUGINS, PLUGINS),
    ):
        parts.append(f"{title}: {_names(known - set(have))}.\n")
    return "\n".join(parts)


def _allowed(name: str, aliases: Sequence[str]) -> bool:
    return not {name, *aliases}.isdisjoint(PROFILES["transform"].functions or ())


def _yes(condition: bool) -> str:
    return "yes" if condition else ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def main(arguments: Sequence[str]) -> int:
    """Writes the page, or with --check says whether it is stale."""
    path = Path(arguments[-1]) if arguments and arguments[-1] != "--check" else Path("docs", "kql", "support.md")
    if "--check" in arguments:
        return 0 if path.is_file() and path.read_text(encoding="utf-8") == table() else 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
