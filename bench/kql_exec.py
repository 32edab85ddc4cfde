"""Hunting queries over generated tables: our SQL against SQL written by hand, and against other engines that take KQL.

    python bench/kql_exec.py [ROWS] [ROUNDS]

ROWS (10 million) are in all tables together; they are generated once and kept (LUREWIRE_BENCH_CACHE, or the user's
cache). Ours and the hand-written query run in turn on the same connection, two threads; each time is the best of ROUNDS.
Their rows must be identical. Times hold compiling. A peer runs the same KQL in turn over the same rows in a process and an
environment of its own; where it fails or gives another number of rows, that query is left out by name.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from common import finish
from hunting import tables
from hunting.peers import cache_folder, peer
from hunting.queries import HUNTS
from lurewire.kql import KqlType, compile  # noqa: A004 - the public name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hunting.peers import Peer
    from hunting.queries import Hunt

GOAL = {"ratio": 1.10}
THREADS = 2
_EPOCH = 621_355_968_000_000_000


@dataclass(slots=True)
class Measured:
    """One query: seconds of ours, of the SQL by hand, and of each peer that gives as many rows."""

    hunt: Hunt
    rows: int
    ours: float = math.inf
    hand: float = math.inf
    peers: dict[str, float] = field(default_factory=dict)


def _ours(connection: duckdb.DuckDBPyConnection, hunt: Hunt) -> list[tuple[object, ...]]:
    compiled = compile(hunt.kql, tables.CATALOG)
    given = {"now": tables.NOW} if compiled.uses_now else {}
    rows: list[tuple[object, ...]] = connection.execute(compiled.sql, given).fetchall()
    return rows


def _by_hand(connection: duckdb.DuckDBPyConnection, hunt: Hunt) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = connection.execute(hunt.sql).fetchall()
    return rows


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _same(ours: Sequence[tuple[object, ...]], hand: Sequence[tuple[object, ...]]) -> bool:
    return sorted(map(repr, ours)) == sorted(map(repr, hand))


def _measure(connection: duckdb.DuckDBPyConnection, hunt: Hunt, rounds: int) -> Measured:
    ours = _ours(connection, hunt)
    if not _same(ours, _by_hand(connection, hunt)):
        raise SystemExit(f"{hunt.name}: the rows differ from those of the SQL by hand")
    measured = Measured(hunt, len(ours))
    for _ in range(rounds):
        measured.ours = min(measured.ours, _seconds(lambda: _ours(connection, hunt)))
        measured.hand = min(measured.hand, _seconds(lambda: _by_hand(connection, hunt)))
    return measured


def _peers(database: Path) -> list[Peer]:
    """The peers, each with the same rows in its own types."""
    typed = database.with_suffix(".typed.duckdb")
    files = database.with_suffix(".parquet")
    if not typed.exists() or not files.is_dir():
        _export(database, typed, files)
    found = (peer("duckdb-kql", str(typed), str(THREADS)), peer("chdb", str(files), str(THREADS)))
    return [one for one in found if one is not None]


def _export(database: Path, typed: Path, files: Path) -> None:
    typed.unlink(missing_ok=True)
    files.mkdir(exist_ok=True)
    connection = duckdb.connect(str(typed))
    connection.execute(f"ATTACH '{database}' AS kept (READ_ONLY)")
    for table in tables.GENERATED:
        for target, dynamic in ((None, "JSON"), (files / f"{table.name}.parquet", "VARCHAR")):
            kinds = {
                KqlType.DATETIME: "make_timestamp(({} - " + str(_EPOCH) + ") // 10)",
                KqlType.DYNAMIC: "{}::" + dynamic,
            }
            columns = ", ".join(f'{kinds.get(kind, "{}").format(name)} AS "{name}"' for name, kind, _ in table.columns)
            rows = f'SELECT {columns} FROM kept."{table.name}"'
            made = f'CREATE TABLE "{table.name}" AS {rows}' if target is None else f"COPY ({rows}) TO '{target}'"
            connection.execute(made)
    connection.close()


def _with_peer(one: Peer, measured: Sequence[Measured], rounds: int) -> None:
    """Adds a peer's times; what it cannot do is named."""
    moment = "2026-11-22T00:00:00Z"
    schema = {table.name: [name for name, _, _ in table.columns] for table in tables.GENERATED}
    for query in measured:
        text = query.hunt.kql.replace("now()", f"datetime({moment})")
        text = text.replace("ago(", f"(datetime({moment}) - ") if one.name == "chdb" else text
        answers = [one.ask({"query": text, "schema": schema, "now": moment}) for _ in range(rounds)]
        failed = next((answer["error"] for answer in answers if "error" in answer), None)
        if failed is not None:
            print(f"{one.name} cannot do '{query.hunt.name}': {failed[:90]}")
        elif answers[0]["rows"] != query.rows:
            print(f"{one.name} gives {answers[0]['rows']} rows, not {query.rows}, for '{query.hunt.name}'")
        else:
            query.peers[one.name] = min(answer["seconds"] for answer in answers)


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    database = tables.generate(cache_folder(), rows)
    connection = duckdb.connect(str(database), read_only=True)
    connection.execute(f"SET threads = {THREADS}")
    measured = [_measure(connection, hunt, rounds) for hunt in HUNTS]
    connection.close()
    names = []
    for one in _peers(database):
        names.append(one.name)
        with one:
            _with_peer(one, measured, rounds)
    print(
        f"{'query':<32} {'kind':<12} {'rows':>8} {'ours ms':>9} {'by hand':>9}  ratio"
        + "".join(f"{n:>12}" for n in names)
    )
    for query in measured:
        shown = "".join(
            f"{query.peers[name] / query.ours:11.1f}x" if name in query.peers else f"{'-':>12}" for name in names
        )
        print(
            f"{query.hunt.name:<32} {query.hunt.kind:<12} {query.rows:>8} {query.ours * 1e3:9.1f} {query.hand * 1e3:9.1f}"
            f"  {query.ours / query.hand:5.2f}{shown}"
        )
    figures: dict[str, float] = {"rows": rows, "ratio": _mean([query.ours / query.hand for query in measured])}
    for name in names:
        done = [query.peers[name] / query.ours for query in measured if name in query.peers]
        figures[f"{name}_queries"] = len(done)
        if done:
            figures[f"{name}_times"] = _mean(done)
    return finish("kql_exec", figures, GOAL)


if __name__ == "__main__":
    sys.exit(main())
