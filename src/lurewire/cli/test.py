"""`lurewire test`: tests of rules, queries and transformations, as files. Needs no server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lurewire.kqltools import inert, inert_lines
from lurewire.testing import BadTest, Outcome, junit, read_cases, run_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PATTERNS = ("*.test.yaml", "*.test.yml", "*.test.json")


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--schema", "schemas", multiple=True, metavar="PATH", help="Schemas of tables: JSON or YAML; a file or folder."
)
@click.option(
    "--functions", multiple=True, metavar="PATH", help="Saved functions: YAML, ARM JSON, .kql; a file or folder."
)
@click.option(
    "--junit", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write a JUnit XML report to this file."
)
@click.option("--match", metavar="TEXT", help="Run only tests whose name holds this text.")
def test(
    files: Sequence[str], schemas: Sequence[str], functions: Sequence[str], report: Path | None, match: str | None
) -> None:
    """Run test files; in folders, those named *.test.yaml.

    Exit code: 0 all passed, 1 a test failed, 2 a file cannot be used or there is no test.
    """
    outcomes: list[Outcome] = []
    unusable = 0
    for path in _expanded(files):
        try:
            cases = read_cases(path, schemas, functions)
        except BadTest as error:
            unusable += 1
            message = f"{error.path}: {error.message}"
            outcomes.append(Outcome(path, "(the file)", "error", message, 0.0))
            click.echo(f"ERROR {inert(message)}")
            continue
        for case in cases:
            if match is None or match in case.name:
                outcomes.append(run_case(case))
                _show(outcomes[-1])
    passed = sum(one.status == "passed" for one in outcomes)
    click.echo(f"{passed} passed, {len(outcomes) - passed} failed")
    if report is not None:
        report.write_bytes(junit(outcomes))
    if unusable or not outcomes:
        sys.exit(2)
    sys.exit(0 if passed == len(outcomes) else 1)


def _expanded(given: Sequence[str]) -> Iterator[Path]:
    for text in given:
        path = Path(text)
        if path.is_dir():
            yield from sorted({found for pattern in _PATTERNS for found in path.rglob(pattern)})
        else:
            yield path


def _show(outcome: Outcome) -> None:
    word = {"passed": "PASS ", "failed": "FAIL ", "error": "ERROR"}[outcome.status]
    click.echo(f"{word} {inert(f'{outcome.path}: {outcome.name}')}")
    for line in inert_lines(outcome.message).split("\n") if outcome.message else ():
        click.echo(f"      {line}")
