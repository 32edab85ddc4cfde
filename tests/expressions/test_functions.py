"""Each function at the edges where engines differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lurewire.expressions import WORKFLOW, ExpressionError, FunctionTable, Syntax, evaluate

_FAILS = object()


class _Now:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)


TABLE = FunctionTable(WORKFLOW)

CASES: list[tuple[str, Any]] = [
    # strings
    ("@concat('a', 1, true, null, createArray(1))", "a1True[1]"),
    ("@substring('abcdef', 3)", "def"),
    ("@substring('abcdef', 3, 1)", "d"),
    ("@substring('abcdef', 0, 99)", _FAILS),
    ("@substring('abcdef', -1, 2)", _FAILS),
    ("@slice('abcdef', -33)", "abcdef"),
    ("@slice('abcdef', -3, -1)", "de"),
    ("@slice('abcdef', 39, 10)", ""),
    ("@replace('a.b', '.', '')", "ab"),
    ("@replace('a', '', 'y')", _FAILS),
    ("@split('abc', '')", ["abc"]),
    ("@split(',a,', ',')", ["", "a", ""]),
    ("@split('a1b', 1)", _FAILS),
    ("@join(createArray('', null, 1, true), 'x')", "xx1xTrue"),
    ("@join('asdf', 'x')", _FAILS),
    ("@toLower('\u0131Ii\u0130çÇğĞ')", "\u0131ii\u0130ççğğ"),
    ("@toUpper('\u0131Ii\u0130çÇğĞß')", "\u0131II\u0130ÇÇĞĞß"),
    ("@trim('\u3000a\u3000')", "a"),
    ("@startsWith('Hello', 'hE')", True),
    ("@endsWith('Hello', 'LO')", True),
    ("@indexOf('hello World', 'WORLD')", 6),
    ("@lastIndexOf('abAB', 'ab')", 2),
    ("@nthIndexOf('aXbXc', 'x', 2)", 3),
    ("@nthIndexOf('aXbXc', 'x', -1)", 3),
    ("@nthIndexOf('aXbXc', 'x', -2)", 1),
    ("@nthIndexOf('aXbXc', 'x', 3)", -1),
    ("@length('🔍')", 2),
    ("@substring('a🔍b', 3)", "b"),
    ("@substring('a🔍b', 0, 2)", "a\ufffd"),
    ("@chunk('abcde', 2)", ["ab", "cd", "e"]),
    # collections
    ("@contains('hello', 'HE')", False),
    ("@contains(createArray(1, 2), 2.0)", True),
    ("@contains(json('{\"A\":1}'), 'A')", True),
    ("@contains(1, 1)", _FAILS),
    ("@empty(null)", True),
    ("@empty(0)", _FAILS),
    ("@length(null)", _FAILS),
    ("@length(json('{}'))", _FAILS),
    ("@first(json('[]'))", None),
    ("@first('')", ""),
    ("@last('abc')", "c"),
    ("@first(null)", _FAILS),
    ("@take('meow', 10)", "meow"),
    ("@take(json('[9,7]'), -1)", _FAILS),
    ("@skip(json('[9,7]'), 1)", [7]),
    ("@union(createArray(5,4,5), createArray(4,1))", [5, 4, 1]),
    ('@union(json(\'{"a":1,"b":1}\'), json(\'{"a":2}\'))', {"a": 2, "b": 1}),
    ("@union(json('{}'), createArray(1))", _FAILS),
    ("@intersection(createArray(1,2,2,3), createArray(3,2))", [2, 3]),
    ('@intersection(json(\'{"a":1,"b":1}\'), json(\'{"a":1,"b":2}\'))', {"a": 1}),
    ("@range(1, 3)", [1, 2, 3]),
    ("@range(1, 10000000)", _FAILS),
    ("@addProperty(json('{\"a\":1}'), 'A', 2)", _FAILS),
    ("@setProperty(json('{\"a\":1,\"b\":2}'), 'A', 3)", {"b": 2, "a": 3}),
    ("@removeProperty(json('{\"a\":1,\"b\":2}'), 'b')", {"a": 1}),
    # logic
    ("@equals(1, 1.0)", True),
    ("@equals('a', 'A')", False),
    ("@equals('True', true)", True),
    ("@equals(null, '')", False),
    ("@equals(json('{\"a\":[1]}'), json('{\"a\":[1.0]}'))", True),
    ("@greater('b', 'a')", True),
    ("@greater('a', 'B')", True),
    ("@less(1, 1.5)", True),
    ("@greater(true, false)", _FAILS),
    ("@not(1)", _FAILS),
    ("@and(true, 'x')", _FAILS),
    ("@coalesce(null, null)", None),
    # math
    ("@add(9223372036854775807, 1)", _FAILS),
    ("@add(1, 0.5)", 1.5),
    ("@div(7, 2)", 3),
    ("@div(-7, 2)", -3),
    ("@div(7.0, 2)", 3.5),
    ("@mod(-7, 2)", -1),
    ("@div(1, 0)", _FAILS),
    ("@mul(1e308, 10)", _FAILS),
    ("@max(createArray(1, 3, 2))", 3),
    ("@min(1, 0.5)", 0.5),
    # conversion
    ("@int('  +1,000 ')", 1000),
    ("@int('1.0')", 1),
    ("@int('(200)')", _FAILS),
    ("@int('1.5')", _FAILS),
    ("@float('1,000.5')", 1000.5),
    ("@float('abc')", _FAILS),
    ("@bool('True')", True),
    ("@bool(0.3)", True),
    ("@bool('')", _FAILS),
    ("@string(float('5.0'))", "5"),
    ("@string(json('{\"f\":5.0}'))", '{"f":5.0}'),
    ("@string(null)", ""),
    ("@string(binary('x'))", "x"),
    ("@json('{')", _FAILS),
    ("@json(binary('[1]'))", [1]),
    ("@array('a')", ["a"]),
    ("@base64('a')", "YQ=="),
    ("@base64ToString('YQ==')", "a"),
    ("@base64ToString('Y')", _FAILS),
    ("@encodeURIComponent('a b&c/é')", "a%20b%26c%2F%C3%A9"),
    ("@uriComponentToString('a%20b+')", "a b+"),
    ("@dataUri('test')", "data:text/plain;charset=utf-8;base64,dGVzdA=="),
    ("@binary(true)", {"$content-type": "application/octet-stream", "$content": "VHJ1ZQ=="}),
    # dates
    ("@utcNow()", "2026-11-22T01:02:03.4567890Z"),
    ("@utcNow('yyyy-MM-dd')", "2026-11-22"),
    ("@addDays('2018-03-15T00:00:00Z', 10)", "2018-03-25T00:00:00.0000000Z"),
    ("@addDays('2024-02-28', 1, 'yyyyMMdd')", "20240229"),
    ("@addToTime('2024-01-31T00:00:00Z', 1, 'Month')", "2024-02-29T00:00:00.0000000Z"),
    ("@subtractFromTime('2018-01-02T00:00:00Z', 1, 'Day', 'd')", "1/1/2018"),
    ("@addToTime('2018-01-02', 1, 'Fortnight')", _FAILS),
    ("@addDays('9999-12-31', 1)", _FAILS),
    ("@getFutureTime(1, 'Week', 'D')", "Sunday, November 29, 2026"),
    ("@formatDateTime('03/15/2018')", "2018-03-15T00:00:00.0000000"),
    (
        "@formatDateTime('2018-03-15T12:30:05.1234567Z', 'ddd, d MMM yy h:mm:ss.fff tt K')",
        "Thu, 15 Mar 18 12:30:05.123 PM Z",
    ),
    ("@formatDateTime('2019-10-01T01:00:00+02:00')", "2019-09-30T23:00:00.0000000Z"),
    ("@formatDateTime('Thu, 15 Mar 2018 12:30:05 GMT', 'r')", "Thu, 15 Mar 2018 12:30:05 GMT"),
    ("@formatDateTime('2018-03-15', 'x\\d')", "xd"),
    ("@formatDateTime('yesterday')", _FAILS),
    ("@formatDateTime('2018-02-30')", _FAILS),
    ("@formatDateTime('2018-03-15', 'q')", _FAILS),
    ("@formatDateTime('2018-03-15', 'D', 'de-de')", _FAILS),
    ("@startOfHour('2018-03-15T13:30:30Z')", "2018-03-15T13:00:00.0000000Z"),
    ("@startOfMonth('2018-03-15T13:30:30Z', 'yyyy-MM-dd')", "2018-03-01"),
    ("@dayOfWeek('2018-03-18')", 0),
    ("@dayOfYear('2018-03-15')", 74),
    ("@ticks('2000-01-01T00:00:00Z')", 630822816000000000),
    ("@dateDifference('2015-02-08', '2018-07-30T01:02:03')", "1268.01:02:03"),
    # URIs
    ("@uriHost('https://www.example.com:8080/a/b?x=y')", "www.example.com"),
    ("@uriPathAndQuery('http://example.com/a?x=y')", "/a?x=y"),
    ("@uriPort('https://example.com')", 443),
    ("@uriHost('nothing')", _FAILS),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_functions(text: str, expected: Any) -> None:
    if expected is _FAILS:
        with pytest.raises(ExpressionError) as caught:
            evaluate(text, TABLE, _Now(), Syntax.WORKFLOW)
        assert caught.value.code == "InvalidTemplate"
        return
    result = evaluate(text, TABLE, _Now(), Syntax.WORKFLOW)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1e14, "100000000000000"),
        (1e15, "1E+15"),
        (1.2345678901234568e17, "1.2345678901234568E+17"),
        (0.0001, "0.0001"),
        (0.00001234, "1.234E-05"),
        (-123.456, "-123.456"),
        (1e-300, "1E-300"),
    ],
)
def test_floats_are_written_as_dotnet_writes_them(value: float, text: str) -> None:
    assert evaluate(f"@{{{value!r}}}", TABLE, _Now(), Syntax.WORKFLOW) == text
