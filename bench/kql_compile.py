"""From KQL text to SQL: parse, bind and print.

    python bench/kql_compile.py [FOLDER]

FOLDER (or LUREWIRE_CORPUS) holds public rules: .kql, .csl and .txt files, the fenced blocks of .md files, and the queries
in .yaml and .yml files; without one, the hunting queries of this folder are compiled. Tables are those of the published
schemas. A query that does not compile is counted and left out. Each time is the best of three; duckdb-kql translates the
same text with the same schema in turn, in a process of its own.
"""

from __future__ import annotations

import os
import re
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from common import finish, percentile
from hunting.peers import peer
from hunting.queries import HUNTS
from lurewire.kql import Column, KqlError, KqlType, Table, compile  # noqa: A004 - the public name
from lurewire.schemas import known_names, known_schema, with_standard_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GOAL = {"median_ms": 2.0, "p95_ms": 15.0}
ROUNDS = 3
_FENCE = re.compile(r"```(?:kql|kusto|kusto-query)?[ \t]*\r?\n(.*?)```", re.DOTALL | re.IGNORECASE)


class Published:
    """The tables of the published schemas."""

    @cache  # noqa: B019 - one catalogue for the whole run
    def table(self, name: str) -> Table | None:
        """The table of that exact name, or None."""
        known = known_schema(name)
        if known is None:
            return None
        columns = with_standard_columns(known)
        if "Timestamp" not in {column.name for column in columns}:
            # What Defender calls TimeGenerated.
            columns = (*columns, Column("Timestamp", KqlType.DATETIME))
        return Table(name, columns, name, tuple(f"c{position}" for position in range(len(columns))))

    def table_names(self) -> Iterable[str]:
        """All table names."""
        return known_names()


def queries_of(folder: Path) -> Iterator[str]:
    """The queries in the files of a folder."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        kind = file.suffix.lower()
        if kind in (".kql", ".csl", ".txt"):
            yield file.read_text(encoding="utf-8-sig", errors="replace")
        elif kind == ".md":
            yield from _FENCE.findall(file.read_text(encoding="utf-8-sig", errors="replace"))
        elif kind in (".yaml", ".yml"):
            yield from _queries_in(file.read_text(encoding="utf-8-sig", errors="replace"))


def _queries_in(text: str) -> Iterator[str]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    if isinstance(document, dict) and isinstance(document.get("query"), str):
        yield document["query"]


def _best(query: str, catalog: Published) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        compile(query, catalog)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> int:
    named = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LUREWIRE_CORPUS")
    queries = list(queries_of(Path(named))) if named else [hunt.kql for hunt in HUNTS]
    queries = list(dict.fromkeys(query for query in queries if query.strip()))
    catalog = Published()
    tables = {
        name: [column.name for column in table.columns] for name in known_names() if (table := catalog.table(name))
    }
    words = re.compile(r"\w+")
    ours: list[float] = []
    both: list[tuple[float, float]] = []
    other = peer("duckdb-kql")
    for query in queries:
        try:
            seconds = _best(query, catalog)
        except KqlError:
            continue
        ours.append(seconds)
        if other is not None:
            schema = {name: tables[name] for name in set(words.findall(query)) & tables.keys()}
            answers = [other.ask({"query": query, "schema": schema}) for _ in range(ROUNDS)]
            if all("seconds" in answer for answer in answers):
                both.append((seconds, min(answer["seconds"] for answer in answers)))
    if other is not None:
        other.close()
    figures: dict[str, float] = {"queries": len(queries), "compiled": len(ours)}
    figures |= {
        "median_ms": percentile(ours, 50) * 1e3,
        "p95_ms": percentile(ours, 95) * 1e3,
        "max_ms": max(ours) * 1e3,
    }
    print(f"{len(ours)} of {len(queries)} compile")
    print(f"{'':<36}  median      p95      max   ms")
    _row("all", ours)
    if both:
        ratios = [theirs / own for own, theirs in both]
        figures |= {"both": len(both), "duckdb_kql_times": percentile(ratios, 50)}
        _row(f"the {len(both)} that duckdb-kql translates too", [own for own, _ in both])
        _row("duckdb-kql", [theirs for _, theirs in both])
        print(f"duckdb-kql takes {figures['duckdb_kql_times']:.1f} times as long (median of the ratios)")
    return finish("kql_compile", figures, GOAL)


def _row(label: str, seconds: list[float]) -> None:
    shown = "  ".join(
        f"{value * 1e3:7.2f}" for value in (percentile(seconds, 50), percentile(seconds, 95), max(seconds))
    )
    print(f"{label:<36} {shown}")


if __name__ == "__main__":
    sys.exit(main())
