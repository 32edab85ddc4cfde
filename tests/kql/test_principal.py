"""Functions that tell for whom a query runs."""

from __future__ import annotations

import json

from lurewire.kql import QueryPrincipal, Tables, closed_connection, compile, execute  # noqa: A004 - the public name

WHO = QueryPrincipal("aadapp", "0A", "T1", "sensor", frozenset({"G1"}))


class _Catalog(Tables):
    def principal(self) -> QueryPrincipal:
        return WHO


def _answer(expression: str) -> object:
    compiled = compile(f"print {expression}", _Catalog(()))
    return execute(closed_connection(), compiled, {})[0][0]


def test_the_name_in_full() -> None:
    assert _answer("current_principal()") == "aadapp=0A;T1"


def test_details() -> None:
    found = json.loads(str(_answer("current_principal_details()")))
    assert (found["ObjectId"], found["Authority"], found["Type"], found["FQN"]) == (
        "0A",
        "T1",
        "AadApp",
        "aadapp=0A;T1",
    )


def test_membership() -> None:
    named = ("aadapp=0a", "aadapp=sensor;t1", "aadgroup=g1", "aaduser=0A", "aadapp=0A;T2", "aadgroup=G2")
    assert [_answer(f"current_principal_is_member_of('{name}')") for name in named] == [True] * 3 + [False] * 3
