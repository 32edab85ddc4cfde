"""workspace('...') where the catalogue reaches other workspaces, and where it does not."""

from __future__ import annotations

import pytest

from lurewire.kql import (
    Catalog,
    KqlError,
    SavedFunction,
    Table,
    Tables,
    WorkspaceCatalog,
    closed_connection,
    compile,  # noqa: A004 - the public name
    execute,
)
from lurewire.kql.types import Column, KqlType

COLUMNS = (Column("Key", KqlType.LONG),)
HERE = Table("T", COLUMNS, "here", ("c0",), time_column=None)
THERE = Table("workspace('other').T", COLUMNS, "there", ("c0",), time_column=None)


class Reaching(Tables):
    """A catalogue of one table that reaches a workspace called `other`, and may not reach `closed`."""

    own_names = ("own",)

    def other_workspace(self, name: str) -> Catalog | None:
        if name == "closed":
            raise PermissionError
        return Other([], FUNCTIONS_THERE) if name == "other" else None


class Other(Tables):
    own_names = ("other",)

    def table(self, name: str) -> Table | None:
        return THERE if name == "T" else None


#: Functions of the workspace `other`; `f` is one of this catalogue's own as well.
FUNCTIONS_THERE = (
    SavedFunction("f", "", "T | extend Of = 'other'"),
    SavedFunction("g", "least: long", "f | where Key >= least"),
    SavedFunction("h", "rows: (Key: long)", "union f(), (rows), (workspace('other').T) | count"),
    SavedFunction("wrong", "", "T | where Nope == 1"),
    SavedFunction("endless", "", "T | union endless2()"),
    SavedFunction("endless2", "", "endless()"),
    SavedFunction("listed", "", "_GetWatchlist('a')"),
    SavedFunction("inner", "", "let T = print k = 7; workspace('other').T"),
)
FUNCTIONS_HERE = (SavedFunction("f", "", "T | join kind=fullouter (workspace('other').g(1)) on Key"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workspace('other').T", [(2,)]),
        ("workspace('own').T", [(1,)]),
        ("let U = workspace('other').T; U | join kind=inner (U) on Key | project Key", [(2,)]),
        ("print x = toscalar(workspace('other').T | summarize max(Key))", [(2,)]),
        (
            "union withsource=From workspace('own').T, workspace('other').T | project From, Key | sort by Key asc",
            [("T", 1), ("workspace('other').T", 2)],
        ),
        ("union isfuzzy=true T, workspace('lost').T", [(1,)]),
        ("workspace('other').f", [(2, "other")]),
        ("workspace('other').g(2) | union T", [(2, "other"), (1, "")]),
        ("workspace('other').g(least=3)", []),
        (
            "let least = 5; let T = print 1; workspace('other').g(toscalar(range i from 1 to 2 step 1 | count))",
            [(2, "other")],
        ),
        ("workspace('other').h(T)", [(3,)]),
        ("union T, workspace('other').T | where Key in (workspace('other').g(1))", [(2,)]),
        ("f | project Key, Key1, Of | sort by Key asc nulls last", [(1, None, ""), (None, 2, "other")]),
        ("union isfuzzy=true T, workspace('other').lost()", [(1,)]),
        ("let T = print k = 7; workspace('own').T", [(1,)]),
        ("let f = () { print k = 7 }; workspace('own').f | project Of", [("other",), ("",)]),
        ("let f = () { print k = 7 }; workspace('own').f() | project Of", [("other",), ("",)]),
        ("workspace('other').inner", [(2,)]),
    ],
)
def test_tables_of_another_workspace(text: str, expected: list[tuple[object, ...]]) -> None:
    catalog = Reaching([HERE], FUNCTIONS_HERE)
    assert isinstance(catalog, WorkspaceCatalog)
    connection = closed_connection()
    connection.execute("create temp table here as select 1::bigint c0; create temp table there as select 2::bigint c0")
    assert execute(connection, compile(text, catalog), {}) == expected


def test_a_function_of_another_workspace_reads_its_tables() -> None:
    compiled = compile("workspace('other').g(1) | union T", Reaching([HERE]))
    assert compiled.tables == {"T", THERE.name}


def test_both_tables_of_one_name_are_told_apart() -> None:
    assert compile("union T, workspace('other').T", Reaching([HERE])).tables == {"T", THERE.name}


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("workspace('lost').T", "semantic", "the workspace 'lost' could not be found"),
        ("workspace('other').U", "semantic", "table or column expression named 'U'"),
        ("workspace('other').lost()", "semantic", "Unknown function: 'lost' in another workspace"),
        ("workspace('other')._GetWatchlist('a')", "unsupported", "the function '_GetWatchlist' of another workspace"),
        ("workspace('other').listed", "unsupported", "_GetWatchlist in a function of another workspace"),
        ("workspace('other').wrong()", "semantic", "in the function 'workspace('other').wrong' (line 1, column 11)"),
        ("workspace('other').endless", "semantic", "recursion is not allowed"),
        ("workspace('other').g()", "semantic", "the argument 'least' is missing"),
        ("let nope = () { print 1 }; workspace('own').nope()", "semantic", "Unknown function: 'nope'"),
        ("workspace('other').database('d').T", "unsupported", "not this workspace"),
        ("database('other').T", "unsupported", "not this workspace"),
        ("restrict access to (*); workspace('other').T", "unsupported", "not this workspace"),
    ],
)
def test_what_is_refused(text: str, kind: str, words: str) -> None:
    with pytest.raises(KqlError) as caught:
        compile(text, Reaching([HERE]))
    (found,) = caught.value.errors
    assert found.kind == kind
    assert words in found.message


def test_what_the_catalogue_raises_ends_the_compilation() -> None:
    with pytest.raises(PermissionError):
        compile("union isfuzzy=true T, workspace('closed').T", Reaching([HERE]))


def test_a_transformation_reaches_no_other_workspace() -> None:
    source = Table("source", COLUMNS, "source", ("c0",), time_column=None)
    with pytest.raises(KqlError, match="not this workspace"):
        compile("workspace('other').T", Reaching([source]), profile="transform")


def test_other_catalogues_refuse_by_name() -> None:
    with pytest.raises(KqlError, match="not this workspace"):
        compile("workspace('other').T", Tables([HERE]))
