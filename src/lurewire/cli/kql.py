"""`lurewire kql`: check queries in files, run them over files or a workspace, explain them. Needs no server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lurewire import kqltools
from lurewire.core.clock import SystemClock
from lurewire.kql import KqlError, explain, run_over, ticks_from_datetime, ticks_from_text
from lurewire.kql import compile as compile_kql
from lurewire.schemas.infer import TABLE_NAME, SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lurewire.cli.workspace import Remote
    from lurewire.kql import Result

_BUILTIN = "builtin"


@click.group()
def kql() -> None:
    """Work with KQL: check, run, explain."""


def _schema_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--watchlist", "watchlists", multiple=True, metavar="ALIAS=COLUMNS", help="A watchlist: alias=column,column:type."),
        click.option("--functions", multiple=True, metavar="PATH", help="Saved functions: YAML, ARM JSON, .kql; a file or folder."),
        click.option("--schema", "schemas", multiple=True, metavar="PATH", help="Schemas of tables and streams: JSON or YAML; a file or folder."),
        click.option("--workspace", metavar="URL|FOLDER", help="A workspace: the URL of a query API, or the state folder of a running Lurewire."),
    ):  # fmt: skip
        command = option(command)
    return command


def _catalog(
    schemas: Sequence[str],
    functions: Sequence[str],
    watchlists: Sequence[str],
    workspace: str | None,
    *,
    builtin: bool = True,
) -> tuple[kqltools.KnownCatalog, dict[str, Any]]:
    """The catalogue that the options describe, and the streams that the schemas declare."""
    tables, streams = kqltools.read_schemas(path for path in schemas if path != _BUILTIN)
    lookup = None
    if workspace is not None:
        lookup = _remote(workspace).columns
    catalog = kqltools.KnownCatalog(
        tables,
        kqltools.read_functions(functions),
        kqltools.read_watchlists(watchlists),
        builtin=builtin,
        lookup=lookup,
    )
    return catalog, streams


def _remote(workspace: str) -> Remote:
    try:
        from lurewire.cli.workspace import Remote  # noqa: PLC0415 - needs the server's packages
    except ModuleNotFoundError as error:
        message = f"--workspace needs the server's packages ({error.name} is missing): pip install 'lurewire[server]'"
        raise click.UsageError(message) from None
    return Remote.of(workspace)


def _fail(message: str) -> Any:
    click.echo(f"Error: {kqltools.inert(message)}", err=True)
    sys.exit(2)


@kql.command()
@click.argument("files", nargs=-1, required=True, metavar="FILES|-")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(kqltools.REPORTS)),
    default="text",
    show_default=True,
    help="The form of the report.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the report to this file.")
@_schema_options
@click.option("--builtin/--no-builtin", default=True, show_default=True, help="Know the tables that Azure publishes.")
@click.option(
    "--allow-unknown-tables",
    is_flag=True,
    help="Pass over tables, functions and watchlists that are not known, and what follows from them.",
)
@click.option(
    "--transform", is_flag=True, help="Queries are transformations over the stream 'source' of a --schema file."
)
@click.option("--ignore", multiple=True, metavar="CODE", help="Do not report this code; may be repeated.")
@click.option("--strict", is_flag=True, help="Warnings too make the exit code 1.")
@click.option(
    "--stdin-filename",
    default="stdin.kql",
    show_default=True,
    help="The name, and by its suffix the kind, of what `-` reads.",
)
def check(
    files: Sequence[str],
    form: str,
    output: Path | None,
    schemas: Sequence[str],
    functions: Sequence[str],
    watchlists: Sequence[str],
    workspace: str | None,
    builtin: bool,
    allow_unknown_tables: bool,
    transform: bool,
    ignore: Sequence[str],
    strict: bool,
    stdin_filename: str,
) -> None:
    """Check the queries in files and folders; `-` reads standard input.

    Exit code: 0 nothing found, 1 findings, 2 a file or an option cannot be used.
    """
    try:
        catalog, streams = _catalog(schemas, functions, watchlists, workspace, builtin=builtin)
    except kqltools.UsageProblem as error:
        _fail(str(error))
    checker = kqltools.Checker(
        catalog, streams=streams, allow_unknown=allow_unknown_tables, ignore=ignore, transform=transform
    )
    findings: list[kqltools.Finding] = []
    unreadable, count = 0, 0
    for path in _expanded(files):
        try:
            text, name = _content(path, stdin_filename)
            queries = kqltools.queries_in(text, name)
        except kqltools.Unreadable as error:
            unreadable += 1
            findings.append(
                kqltools.Finding(error.path, error.line, error.column, kqltools.UNREADABLE, "error", error.message)
            )
            continue
        for query in queries:
            count += 1
            findings += checker.check(query)
    written = kqltools.report(findings, count, form) + "\n"
    if output is None:
        click.echo(written, nl=False)
    else:
        output.write_text(written, encoding="utf-8")
    if unreadable:
        sys.exit(2)
    if not count:
        _fail("no query was found")
    sys.exit(1 if any(strict or one.severity == "error" for one in findings) else 0)


def _expanded(given: Sequence[str]) -> Iterator[str]:
    """The files, and those in folders whose kind is known; hidden folders are passed over."""
    for text in given:
        path = Path(text)
        if text == "-" or not path.is_dir():
            yield text
            continue
        for found in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
            if found.is_file() and not hidden and found.suffix.lower() in kqltools.CONTAINERS:
                yield str(found)


def _content(path: str, stdin_filename: str) -> tuple[str, str]:
    if path == "-":
        return kqltools.decode(sys.stdin.buffer.read(), stdin_filename), stdin_filename
    return kqltools.read_text(Path(path)), path


@kql.command()
@click.argument("text", required=False, metavar="QUERY")
@click.option(
    "-f", "--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="Read the query from a file."
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="NAME=PATH",
    help="A table: a file of rows or a pattern of files; may be repeated.",
)
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    metavar="PATH|builtin",
    help="Schemas of the tables, as for check; `builtin`: those that Azure publishes.",
)
@click.option("--functions", multiple=True, metavar="PATH", help="Saved functions, as for check.")
@click.option(
    "--workspace",
    metavar="URL|FOLDER",
    help="Run on a workspace instead of files: the URL of a query API, or a running Lurewire's state folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(kqltools.FORMATS)),
    default="table",
    show_default=True,
    help="The form of the rows.",
)
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the chart of `render` to this .png or .svg, those of further results to NAME-2 and so on "
    "(needs the extra `charts`).",
)
@click.option("--now", metavar="DATETIME", help="What now() means; default: the present.")
def run(
    text: str | None,
    file: Path | None,
    tables: Sequence[str],
    schemas: Sequence[str],
    functions: Sequence[str],
    workspace: str | None,
    form: str,
    chart: Path | None,
    now: str | None,
) -> None:
    """Run a query over files, or on a workspace.

    Exit code: 0 the query ran, 1 it cannot be compiled or failed while it ran, 2 a file or an option cannot be used.
    """
    query = _query_text(text, file)
    if workspace is not None and (tables or schemas or functions or now):
        raise click.UsageError("--workspace goes without --table, --schema, --functions and --now")
    try:
        results = (
            _run_files(query, tables, schemas, functions, _moment(now))
            if workspace is None
            else _remote(workspace).query(query)
        )
        if chart is not None:
            _draw(results, chart)
            return
        for number, result in enumerate(results):
            if number:
                click.echo()
            _show(result, form)
    except (kqltools.UsageProblem, kqltools.UnknownChart) as error:
        _fail(str(error))
    except KqlError as error:
        click.echo(kqltools.inert_lines(str(error)), err=True)
        sys.exit(1)


def _query_text(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise click.UsageError("give a query, or a file with -f")
    if text is not None:
        return sys.stdin.read() if text == "-" else text
    assert file is not None
    try:
        queries = kqltools.queries_in(kqltools.read_text(file), str(file))
    except kqltools.Unreadable as error:
        return str(_fail(f"{error.path}: {error.message}"))
    if len(queries) != 1:
        _fail(f"{file}: one query is expected, not {len(queries)}")
    return queries[0].text


def _moment(text: str | None) -> int:
    if text is None:
        return ticks_from_datetime(SystemClock().now())
    ticks = ticks_from_text(text)
    if ticks is None:
        raise kqltools.UsageProblem(f"--now: '{text}' is no datetime")
    return ticks


def _run_files(
    query: str, tables: Sequence[str], schemas: Sequence[str], functions: Sequence[str], now: int
) -> list[Result]:
    declared, _ = kqltools.read_schemas(path for path in schemas if path != _BUILTIN)
    saved = kqltools.read_functions(functions)
    with kqltools.open_files(tables, declared, builtin=_BUILTIN in schemas, functions=saved) as data:
        result = run_over(query, data.connection, data.catalog, now=now)
    return [result, *result.further]


def _draw(results: Sequence[Result], chart: Path) -> None:
    """Writes the charts of the results that have one: the first to that file, the next to NAME-2 and so on."""
    drawn = 0
    for result in results:
        path = chart if not drawn else chart.with_stem(f"{chart.stem}-{drawn + 1}")
        try:
            drawn += kqltools.save_chart(result, path)
        except ModuleNotFoundError as error:
            message = f"--chart needs the extra `charts` ({error.name} is missing): pip install 'lurewire[charts]'"
            raise kqltools.UsageProblem(message) from None
    if not drawn:
        raise kqltools.UsageProblem("--chart: the query has no render that draws")


def _show(result: Result, form: str) -> None:
    terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns
    drawing = kqltools.terminal_chart(result, columns) if form == "table" else None
    click.echo(drawing or kqltools.write_result(result, form, columns if terminal else None), nl=False)


@kql.command("explain")
@click.argument("text", required=False, metavar="QUERY")
@click.option(
    "-f", "--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="Read the query from a file."
)
@_schema_options
@click.option("--sql/--no-sql", default=True, show_default=True, help="Show the SQL too.")
def explain_command(
    text: str | None,
    file: Path | None,
    schemas: Sequence[str],
    functions: Sequence[str],
    watchlists: Sequence[str],
    workspace: str | None,
    sql: bool,
) -> None:
    """Show a query's plan and its SQL.

    Exit code: 0, 1 where the query cannot be compiled, 2 a file or an option cannot be used.
    """
    query = _query_text(text, file)
    try:
        catalog, _ = _catalog(schemas, functions, watchlists, workspace)
        click.echo(kqltools.inert_lines(explain(query, catalog)))
        if sql:
            click.echo(f"\n{kqltools.inert_lines(compile_kql(query, catalog).sql)}")
    except kqltools.UsageProblem as error:
        _fail(str(error))
    except KqlError as error:
        click.echo(kqltools.inert_lines(str(error)), err=True)
        sys.exit(1)


@kql.command("schema-from-sample")
@click.argument("file", metavar="FILE|-")
@click.option("--table", default="Sample_CL", show_default=True, help="The table to fill.")
@click.option(
    "--time", default="", metavar="NAME", help="The property that is the event's time; default: the likeliest."
)
@click.option(
    "--format",
    "form",
    type=click.Choice([*kqltools.SAMPLE_FORMS, "parse-json"]),
    default="text",
    show_default=True,
    help="`arm`: a template of table and rule; `parse-json`: the schema for the Parse JSON action.",
)
def schema_from_sample(file: str, table: str, time: str, form: str) -> None:
    """Print the schema of a table, and of the stream that fills it, for a sample of events.

    The sample is an object, an array of objects or newline-delimited JSON. Exit code: 0, 2 where the sample cannot be used.
    """
    if not TABLE_NAME.fullmatch(table):
        raise click.UsageError("--table: a letter, then letters, digits and '_', at the end _CL: 63 characters at most")
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        written, notes = kqltools.sample_schema(content, table, form, time=time)
    except (OSError, SampleError) as error:
        _fail(f"{file}: {error}")
    for note in notes:
        click.echo(f"Note: {kqltools.inert(note)}", err=True)
    click.echo(kqltools.inert_lines(written))
