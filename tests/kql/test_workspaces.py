"""workspace('...') where the catalogue reaches other workspaces, and where it does not."""

from __future__ import annotations

import pytest

from lurewire.kql import (
    Catalog,
    KqlError,
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
        return Other([]) if name == "other" else None


class Other(Tables):
    def table(self, name: str) -> Table | None:
        return THERE if name == "T" else None


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
    ],
)
def test_tables_of_another_workspace(text: str, expected: list[tuple[object, ...]]) -> None:
    catalog = Reaching([HERE])
    assert isinstance(catalog, WorkspaceCatalog)
    connection = closed_connection()
    connection.execute("create temp table here as select 1::bigint c0; create temp table there as select 2::bigint c0")
    assert execute(connection, compile(text, catalog), {}) == expected


def test_both_tables_of_one_name_are_told_apart() -> None:
    assert compile("union T, workspace('other').T", Reaching([HERE])).tables == {"T", THERE.name}


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("workspace('lost').T", "semantic", "the workspace 'lost' could not be found"),
        ("workspace('other').U", "semantic", "table or column expression named 'U'"),
        ("workspace('other').f()", "unsupported", "the function 'f' of another workspace"),
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
