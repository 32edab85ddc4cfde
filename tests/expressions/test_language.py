"""Grammar, strings, access and errors of the expression language."""

from __future__ import annotations

from typing import Any

import pytest

from lurewire.expressions import (
    UNSUPPORTED,
    WORKFLOW,
    Call,
    ExpressionError,
    Function,
    FunctionTable,
    Literal,
    Syntax,
    check,
    evaluate,
    parse,
    references,
)

DATA = {"Address": "1.2.3.4", "score": 71, "real": 0.5, "none": None, "list": [10, 20], "Nested": {"aB": 1, "Ab": 2}}
TABLE: FunctionTable[Any] = FunctionTable(
    (*WORKFLOW, Function("data", 0, 0, lambda _c, _a: DATA, "https://x")), UNSUPPORTED
)


def run(text: Any, syntax: Syntax = Syntax.WORKFLOW) -> Any:
    return evaluate(text, TABLE, None, syntax, "/here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("str", "str"),
        ("", ""),
        ("@", "@"),
        (" @,,}", " @,,}"),
        ("someone@example.com", "someone@example.com"),
        ("@@unparsed!", "@unparsed!"),
        ("@@{'abc'}@{'def'}", "@{'abc'}@{'def'}"),
        ("testing @@{'blah'} @{'thing'}", "testing @{'blah'} thing"),
        ("a@@b", "a@@b"),
        ("@null", None),
        ("@true", True),
        ("@-51", -51),
        ("@+.5", 0.5),
        ("@+1.", 1.0),
        ("@3.2e-1", 0.32),
        ("@ 'don''t worry' ", "don't worry"),
        ("@'@{not} interpolated'", "@{not} interpolated"),
        ("@{'}'}", "}"),
        ("@{true}", "True"),
        ("@{null}", ""),
        ("@{+1.}", "1"),
        ("@{0.1}", "0.1"),
        ("@{data()?['list']}", "[10,20]"),
        ("@{data()['Nested']}x", '{"aB":1,"Ab":2}x'),
        ("@data()['Address']", "1.2.3.4"),
        ("@{data()['score']}", "71"),
        ("@data()['score']", 71),
        ("@data().address", "1.2.3.4"),
        ("@data()?.ADDRESS", "1.2.3.4"),
        ("@data()['Nested']['AB']", 1),
        ("@data()['Nested'].Ab", 2),
        ("@data()?['missing']?['deeper']", None),
        ("@data()?['none']?.x", None),
        ("@data()['list'][1]", 20),
        ("@data()['list']?[2]", None),
        ("@ADD(INT('123'),int('456'))", 579),
        ("@\n concat (\t'a' ,\r\n'b' ) ", "ab"),
    ],
)
def test_strings(text: str, expected: Any) -> None:
    result = run(text)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "@'a','b'",
        "@{'a','b'}",
        "@'a'}",
        "@{'a'",
        " @{",
        "@()",
        "@{}",
        "@concat",
        "@concat('a','b')('c')",
        "@+",
        "@1e",
        "@1e1.1",
        "@--1",
        "@add(1 2)",
        "@add(1,)",
        "@data()?",
        "@data().'x'",
        "@'open",
        "@string( { } )",
        "@9223372036854775808",
        "@1e999",
        "@True",
    ],
)
def test_what_does_not_parse_is_refused_with_its_position(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        run(text)
    assert caught.value.code == "InvalidTemplate"
    assert caught.value.where == "/here"
    assert 0 <= caught.value.position <= len(text)
    assert [error.where for error in check(text, TABLE, Syntax.WORKFLOW, "/there")] == ["/there"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("@data()['missing']", "property 'missing' doesn't exist, available properties are 'Address, score"),
        ("@data()['none']['x']", "property 'x' cannot be selected: the value is of type 'Null'"),
        ("@data()['Address']?['x']", "cannot be selected: the value is of type 'String'"),
        ("@data()['list'][2]", "array index '2' is outside bounds (0, 1)"),
        ("@data()['list']?['a']", "selected by an integer index"),
        ("@data()[0]", "selected by a string"),
        ("@nope(1)", "'nope' is not defined or not valid"),
        ("@lenght('x')", "Did you mean 'length'?"),
        ("@xpath('a','b')", "exists in Azure, but this Lurewire does not run it"),
        ("@add(1)", "expects 2 arguments but was called with 1"),
        ("@greater(null, 70)", "values of type 'Null' and 'Integer' that do not match"),
        ("@greater('71', 70)", "values of type 'String' and 'Integer' that do not match"),
    ],
)
def test_errors_say_what_and_where(text: str, part: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        run({"a": [text]})
    assert part in caught.value.message
    assert caught.value.where == "/here/a/0"
    assert "/here/a/0" in str(caught.value)


def test_a_forgiving_access_forgives_only_what_is_missing() -> None:
    assert run("@data()?['list']?[7]") is None
    with pytest.raises(ExpressionError):
        run("@data()?['list']?['x']")


def test_only_what_decides_is_evaluated() -> None:
    assert run("@and(false, int('x'))") is False
    assert run("@or(true, int('x'))") is True
    assert run("@if(true, 1, int('x'))") == 1
    assert run("@coalesce(null, 'a', int('x'))") == "a"


def test_results_are_not_evaluated_again() -> None:
    assert run("@concat('@{', 'data()}')") == "@{data()}"


def test_property_names_are_evaluated_and_must_be_text() -> None:
    assert run({"@{data()['Address']}-x": 1, "@@odata.type": 2}) == {"1.2.3.4-x": 1, "@odata.type": 2}
    with pytest.raises(ExpressionError, match="property name must be a string"):
        run({"@data()['score']": 1})


def test_arm_syntax() -> None:
    assert run("[concat('a', 'b')]", Syntax.ARM) == "ab"
    assert run("[[concat('a')]", Syntax.ARM) == "[concat('a')]"
    assert run("[not closed", Syntax.ARM) == "[not closed"
    assert run("@{data()} stays", Syntax.ARM) == "@{data()} stays"
    assert run({"[toLower('K')]": ["[add(1,2)]"]}, Syntax.ARM) == {"k": [3]}
    inner = "[concat('/secrets/@{encodeURIComponent(''', 'name', ''')}/value')]"
    assert run(inner, Syntax.ARM) == "/secrets/@{encodeURIComponent('name')}/value"
    with pytest.raises(ExpressionError, match="expected"):
        run("[concat('a') + 'b']".replace("+", ","), Syntax.ARM)


def test_a_user_defined_arm_function_is_named_whole() -> None:
    with pytest.raises(ExpressionError, match=r"'contoso\.unique' is not defined"):
        run("[contoso.unique('x')]", Syntax.ARM)


def test_limits() -> None:
    assert run("@concat(" + ",".join(["'a'"] * 1000) + ")") == "a" * 1000
    with pytest.raises(ExpressionError, match="the limit is 8192"):
        run("@'" + "a" * 8192 + "'")
    with pytest.raises(ExpressionError, match="nested more than 100 deep"):
        run("@" + "string(" * 200 + "1" + ")" * 200)
    with pytest.raises(ExpressionError, match="nested more than 100 deep"):
        run("@data()" + "?.a" * 200)
    assert run("@" + "string(" * 90 + "1" + ")" * 90) == "1"
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    with pytest.raises(ExpressionError, match="nested more than 100 deep"):
        run(deep)


def test_text_may_be_longer_than_an_expression() -> None:
    assert run("x" * 100_000 + "@{1}") == "x" * 100_000 + "1"


def test_references_and_check_name_every_call() -> None:
    tree = parse("@if(equals(body('A')?['x'], 1), outputs('B'), nope())").trees[0]
    calls = list(references(tree))
    assert [call.name for call in calls] == ["if", "equals", "body", "outputs", "nope"]
    assert isinstance(calls[2], Call)
    assert isinstance(calls[2].arguments[0], Literal)
    assert calls[2].arguments[0].value == "A"
    errors = list(check({"k": ["@nope()", "@add(1)", "fine"]}, TABLE, Syntax.WORKFLOW, "/d"))
    assert [(error.where, error.position) for error in errors] == [("/d/k/0", 1), ("/d/k/1", 1)]


def test_a_later_row_takes_the_place_of_an_earlier_one() -> None:
    table: FunctionTable[Any] = FunctionTable((*WORKFLOW, Function("concat", 0, 0, lambda _c, _a: "mine", "https://x")))
    assert evaluate("@concat()", table, None, Syntax.WORKFLOW) == "mine"
