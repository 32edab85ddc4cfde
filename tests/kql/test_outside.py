"""What run() is given of the outside, and what is refused by name where it is not."""

from __future__ import annotations

import pytest

from lurewire.kql import KqlError, run

LIST = """
externaldata(ip: string, name: string)["https://lists.example/a.csv"] with (format="csv")
| extend country = tostring(geo_info_from_ip_address(ip).country)
"""


def places(address: str) -> dict[str, str] | None:
    return {"country": "Finland"} if address == "192.0.2.1" else None


def fetch(location: str) -> bytes:
    if location != "https://lists.example/a.csv":
        raise PermissionError("not this one")
    return b"192.0.2.1,a\n192.0.2.2,b\n"


def refused(text: str, **given: object) -> str:
    with pytest.raises(KqlError) as caught:
        run(text, **given)  # type: ignore[arg-type]
    return caught.value.errors[0].message


def test_places_and_external_data_are_what_the_caller_gives() -> None:
    result = run(LIST, geo=places, fetch=fetch)
    assert result.rows == [("192.0.2.1", "a", "Finland"), ("192.0.2.2", "b", "")]
    both = run(f"{LIST} | fork (count) (project country)", geo=places, fetch=fetch)
    assert (both.rows, both.further[0].rows) == ([(2,)], [("Finland",), ("",)])
    bags = "externaldata(d: dynamic)['https://lists.example/a.csv'] with (format='txt') | evaluate bag_unpack(d)"
    assert run(bags, fetch=lambda _: b'{"a": 1}').rows == [(1,)]


def test_without_them_a_query_is_refused_by_name() -> None:
    assert "externaldata from 'https://lists.example/a.csv'" in refused(LIST, geo=places)
    assert "places of IP addresses" in refused(LIST, fetch=fetch)
    assert "b.csv' cannot be read: not this one" in refused(LIST.replace("a.csv", "b.csv"), geo=places, fetch=fetch)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("evaluate infer_storage_schema(dynamic({}))", "the plug-in 'infer_storage_schema' is not supported"),
        ("let x = evaluate sql_request('a', 'b'); x", "the plug-in 'sql_request' is not supported"),
        ("union (evaluate http_request('https://a')), (print 1)", "the plug-in 'http_request' is not supported"),
        ("evaluate narrow()", "'evaluate' operator: the plug-in 'narrow' works on the rows of an input"),
        ("evaluate sql_requst('a')", "'evaluate' operator: there is no plug-in named 'sql_requst'"),
    ],
)
def test_a_plug_in_as_a_source_is_refused_by_its_name(query: str, message: str) -> None:
    assert refused(query) == message


@pytest.mark.parametrize("values", ["d, s", "d.a, 'x'", "d.a, d.b, 1"])
def test_coalesce_asks_for_dynamic_where_the_first_is(values: str) -> None:
    query = f"print s = 'a', d = dynamic({{}}) | project coalesce({values})"
    assert "coalesce(): The expression must have the type dynamic" in refused(query)


def test_coalesce_of_dynamic_values() -> None:
    query = """print d = dynamic({"b": "x", "c": [1]}) | project coalesce(d.a, d.b, d.c), coalesce(d.a, todynamic('{"n":1}'))"""
    assert run(query).rows == [('"x"', '{"n":1}')]
    assert "expects 2" in refused("print coalesce(1)")
    assert "expects 2 to 64" in refused(f"print coalesce({', '.join(['1'] * 65)})")
