"""Saved functions: as published documents, and as a query calls them; ASIM's shape of parsers among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lurewire.kql import (
    KqlError,
    SavedFunction,
    Table,
    Tables,
    check_function,
    closed_connection,
    compile,  # noqa: A004 - the public name
    execute,
    functions_of,
)
from lurewire.kql.types import Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Iterable

STRING, LONG = KqlType.STRING, KqlType.LONG


class Catalog(Tables):
    """Two tables, saved functions and one watchlist."""

    def __init__(self, functions: Iterable[SavedFunction]) -> None:
        dns = Table("Dns", (Column("Query", STRING), Column("Source", STRING)), "dns", ("c0", "c1"), time_column=None)
        other = Table("Other", (Column("Name", STRING), Column("Port", LONG)), "other", ("c0", "c1"), time_column=None)
        super().__init__([dns, other], functions)
        self._disabled = Table("Disabled", (Column("SearchKey", STRING), Column("Parser", STRING)), "off", ("c0", "c1"))

    def watchlist(self, alias: str) -> Table | None:
        return self._disabled if alias == "Disabled" else None

    def watchlist_aliases(self) -> Iterable[str]:
        return ("Disabled",)


def rows(query: str, *functions: SavedFunction, off: str = "") -> list[tuple[Any, ...]]:
    connection = closed_connection()
    connection.execute(
        "create temp table dns as select * from (values ('a.example', 's1'), ('b.example', 's2')) t(c0, c1)"
    )
    connection.execute("create temp table other as select * from (values ('c.example', 53::bigint)) t(c0, c1)")
    connection.execute("create temp table off as select 'Any' as c0, ? as c1", [off])
    return execute(connection, compile(query, Catalog(functions)), {})


def errors(query: str, *functions: SavedFunction) -> list[tuple[str, int]]:
    with pytest.raises(KqlError) as caught:
        compile(query, Catalog(functions))
    return [(error.message, error.column) for error in caught.value.errors]


PARAMETERS = "name_has: dynamic = dynamic([]), source: string = '*', disabled: bool = false"
EMPTY = SavedFunction("vimEmpty", "", "let Empty = datatable(Query: string, Source: string)[]; Empty")
FIRST = SavedFunction(
    "vimFirst",
    PARAMETERS,
    """let parser = (name_has: dynamic = dynamic([]), source: string = '*', disabled: bool = false) {
    Dns
    | where not(disabled)
    | where (array_length(name_has) == 0 or Query has_any (name_has)) and (source == '*' or Source == source)
    // a comment at the end
    };
    parser(name_has, source, disabled)  // and another""",
)
SECOND = SavedFunction(
    "vimSecond",
    PARAMETERS,
    "Other | where not(disabled) and source == '*' | where array_length(name_has) == 0 or Name has_any (name_has)\n"
    "| project-rename Query = Name | project Query, Source = tostring(Port)",
)
THIRD = SavedFunction("vimThird", PARAMETERS, "let rows = Missing_CL | where not(disabled); rows | project Query = q")
UNIFYING = SavedFunction(
    "imDns",
    "name_has: dynamic = dynamic([]), source: string = '*', pack: bool = false",
    """let Generic = (name_has: dynamic = dynamic([]), source: string = '*', pack: bool = false) {
    let Off = materialize(_GetWatchlist('Disabled') | where SearchKey in ('Any', 'ExcludeimDns')
        | extend Parser = column_ifexists('Parser', '') | distinct Parser);
    let all_off = toscalar('ExcludeBuiltIn' in (Off));
    union isfuzzy=true
        vimEmpty
        , vimFirst (name_has, source, (all_off or ('ExcludevimFirst' in (Off))))
        , vimSecond (name_has, source, (all_off or ('ExcludevimSecond' in (Off))))
        , vimThird (name_has, source, all_off)
        , vimNotThere (name_has, source, all_off)
    };
    Generic(name_has=name_has, source=source, pack=pack)
    """,
)
ASIM = (EMPTY, FIRST, SECOND, THIRD, UNIFYING)


def test_unifying_parser_gives_what_its_sources_have() -> None:
    assert rows("imDns | sort by Query asc", *ASIM) == [("a.example", "s1"), ("b.example", "s2"), ("c.example", "53")]
    assert rows("imDns() | count", *ASIM) == [(3,)]
    assert rows("imDns(source='s2') | project Query", *ASIM) == [("b.example",)]
    assert rows("imDns(dynamic(['c', 'a'])) | project Query | sort by Query asc", *ASIM) == [
        ("a.example",),
        ("c.example",),
    ]
    assert rows("let names = dynamic(['b']); imDns(name_has=names) | project Source", *ASIM) == [("s2",)]


def test_parsers_are_disabled_by_a_watchlist() -> None:
    assert rows("imDns | project Query", *ASIM, off="ExcludevimFirst") == [("c.example",)]
    assert rows("imDns | count", *ASIM, off="ExcludeBuiltIn") == [(0,)]


def test_two_calls_with_a_materialized_let_do_not_share_it() -> None:
    body = "let m = materialize(Dns | where Source == wanted); union m, m"
    function = SavedFunction("Twice", "wanted: string", body)
    query = "union (Twice('s1') | extend n = 1), (Twice('s2') | extend n = 2) | summarize make_set(Source) by n"
    assert sorted(rows(query, function)) == [(1, '["s1"]'), (2, '["s2"]')]


def test_scalar_and_tabular_parameters() -> None:
    scalar = SavedFunction("Double", "n: long", "let two = 2; n * two")
    tabular = SavedFunction(
        "Longest", "T: (Query: string), n: long = 1", "T | sort by strlen(Query) desc, Query asc | take n"
    )
    assert rows("print x = Double(21) + Double(n=1)", scalar) == [(44,)]
    assert rows("Dns | invoke Longest() | project Query", tabular) == [("a.example",)]
    assert rows("Dns | where Query in (Longest(Dns, 1)) | count", tabular) == [(1,)]


def test_a_saved_function_sees_nothing_of_the_query() -> None:
    reads = SavedFunction("Reads", "", "Dns | where Source == wanted")
    ((message, column),) = errors("let wanted = 's1'; Reads", reads)
    assert column == 20
    assert message.startswith("in the function 'Reads' (line 1, column 23): 'where' operator: Failed to resolve")
    hides = SavedFunction("Dns2", "", "Dns")
    assert rows("let Dns2 = print x = 1; Dns2", hides) == [(1,)]


def test_problems_are_told_at_the_call_with_their_place_in_the_function() -> None:
    inner = SavedFunction("Inner", "", "Dns\n| where nope == 1")
    outer = SavedFunction("Outer", "", "Inner\n| take 1")
    ((message, column),) = errors("print 1;\nlet x = 1;\nunion (Outer | take 1)", inner, outer)[:1]
    assert column == 8
    assert message.startswith("in the function 'Outer' (line 1, column 1): in the function 'Inner' (line 2, column 9):")


def test_a_query_that_names_several_wrong_functions_hears_of_all() -> None:
    found = errors("union Missing1(1), Missing2(2)")
    assert [message for message, _ in found] == ["Unknown function: 'Missing1'", "Unknown function: 'Missing2'"]


def test_functions_that_all_call_each_other_are_refused_at_once() -> None:
    names = [f"f{number}" for number in range(30)]
    functions = [SavedFunction(name, "", f"union {', '.join(names)}") for name in names]
    with pytest.raises(KqlError, match="recursion is not allowed"):
        compile("f0", Tables([], functions))


@pytest.mark.parametrize(
    ("last", "body", "query"),
    [
        ("print 1", "union ({0}()), ({0}())", "{0}()"),
        ("1", "let a = {0}(); let b = {0}(); a + b", "print {0}()"),
        ("1", "let a = {0}(); let b = {0}(); 1", "print {0}()"),
    ],
)
def test_functions_that_double_each_other_are_bounded(last: str, body: str, query: str) -> None:
    bodies = [last, *(body.format(f"f{number}") for number in range(50))]
    functions = [SavedFunction(f"f{number}", "", text) for number, text in enumerate(bodies)]
    declared = "".join(f"let f{number} = () {{ {text} }}; " for number, text in enumerate(bodies))
    for catalog, prefix in ((Tables([], functions), ""), (Tables([]), declared)):
        with pytest.raises(KqlError, match="more than 200000 expressions"):
            compile(prefix + query.format("f50"), catalog)


@pytest.mark.parametrize("query", ["A", "A()", "union A, Dns", "print x = S(1)", "union isfuzzy=true A, Dns"])
def test_recursion_is_refused(query: str) -> None:
    functions = (
        SavedFunction("A", "", "let local = B; local"),
        SavedFunction("B", "", "union Dns, A()"),
        SavedFunction("S", "n: long", "iff(n > 3, n, S(n + 1))"),
    )
    message = errors(query, *functions)[0][0]
    assert "recursion is not allowed" in message
    assert "A -> B -> A" in message or "S -> S" in message


@pytest.mark.parametrize(
    ("parameters", "body", "part"),
    [
        ("", "Dns\n| where ==", "line 2, column 9"),
        ("", "Dns | wher x", "unknown operator"),
        ("a: nothing", "Dns", "its parameters"),
        ("", "Dns } | take 1", "the end of the function"),
        ("", "let x = 1;", "line 2, column 1"),
    ],
)
def test_what_does_not_parse_is_refused(parameters: str, body: str, part: str) -> None:
    function = SavedFunction("Bad", parameters, body)
    with pytest.raises(KqlError) as caught:
        check_function(function)
    assert part in caught.value.errors[0].message
    assert part in errors("Bad | take 1", function)[0][0]


def test_a_transformation_knows_no_saved_function() -> None:
    with pytest.raises(KqlError):
        compile("source | where F(1) > 1", Catalog([SavedFunction("F", "n: long", "n")]), profile="transform")


def test_parser_as_a_document() -> None:
    document = {
        "Parser": {"Title": "A parser", "Version": "0.1"},
        "ParserName": "imThing",
        "EquivalentBuiltInParser": "_Im_Thing ",
        "ParserParams": [
            {"Name": "starttime", "Type": "datetime", "Default": "datetime(null)"},
            {"Name": "name", "Type": "string", "Default": 'a"*'},
            {"Name": "items", "Type": "dynamic", "Default": "dynamic([])"},
            {"Name": "pack", "Type": "bool", "Default": False},
            {"Name": "T:(Query:string)", "Type": "table"},
            {"Name": "n", "Type": "long"},
        ],
        "ParserQuery": "T | take n",
    }
    functions = functions_of(document)
    assert [function.name for function in functions] == ["imThing", "_Im_Thing"]
    assert functions[0].parameters == (
        '["starttime"]: datetime = datetime(null), ["name"]: string = "a\\"*", ["items"]: dynamic = dynamic([]), '
        '["pack"]: bool = false, ["T"]: (Query:string), ["n"]: long'
    )
    assert rows("_Im_Thing(T=(Dns | sort by Query asc), n=1) | project Query", *functions) == [("a.example",)]


def test_function_of_a_solution_and_of_a_template() -> None:
    solution = {"Function": {"Title": "x"}, "FunctionName": "F", "FunctionAlias": "F", "FunctionQuery": "Dns"}
    assert functions_of(solution) == [SavedFunction("F", "", "Dns")]
    written = {"FunctionName": "F", "FunctionParams": "n:long=1, s:string", "FunctionQuery": "Dns"}
    assert functions_of(written) == [SavedFunction("F", "n:long=1, s:string", "Dns")]
    search = {
        "type": "savedSearches",
        "properties": {"FunctionAlias": "G", "query": "Dns", "functionParameters": "n:long=1"},
    }
    kept = {"type": "Microsoft.OperationalInsights/workspaces/savedSearches", "properties": {"query": "Dns"}}
    template = {
        "resources": [{"type": "Microsoft.OperationalInsights/workspaces", "resources": [search]}, kept, "[odd]"],
    }
    assert functions_of(template) == [SavedFunction("G", "n:long=1", "Dns")]
    assert functions_of({"id": "a rule", "query": "Dns"}) == []


@pytest.mark.parametrize(
    "document",
    [
        {"ParserName": "F", "ParserQuery": ""},
        {"ParserQuery": "Dns"},
        {"ParserName": "F", "ParserQuery": "Dns", "ParserParams": "x"},
        {"ParserName": "F", "ParserQuery": "Dns", "ParserParams": [{"Name": "x"}]},
        {"ParserName": "F", "ParserQuery": "Dns", "ParserParams": [{"Name": "x", "Type": "money"}]},
        {"resources": [{"type": "savedSearches", "properties": {"functionAlias": "F"}}]},
    ],
)
def test_documents_that_are_no_functions(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are for people
        functions_of(document)
