"""Bodies that are made to break a parser, or to fill the memory, against every operation that takes one."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.hostile.conftest import DIRECTORY, EVERYTHING
    from tests.hostile.walk import Operation, operations, target_of, tokens
    from tests.testbench.started import Started
else:
    from hostile.conftest import DIRECTORY, EVERYTHING
    from hostile.walk import operations, target_of, tokens

MOST_RSS = 1_500_000_000
SECONDS = 5.0
LONG = 100_000
THOROUGH = "LUREWIRE_FUZZ" in os.environ
_INGEST = "/dataCollectionRules/{immutable_id}/streams/{stream}"
ALLOWED = {("POST", path, b"") for path in (_INGEST, f"/dataCollectionEndpoints/{{endpoint}}{_INGEST}")}
"""The one answer of 500 that the contract has (section B.3): an empty body."""

_MIB = 1 << 20
_WRAPPED = b'{"query":%s,"location":"local","value":%s,"kind":%s,"properties":{"x":%s,"query":%s,"schema":%s}}'


def _inside(value: bytes) -> bytes:
    return _WRAPPED.replace(b"%s", value)


BODIES: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "number": b"1",
    "text": b'"x"',
    "array": b"[]",
    "array of null": b"[null]",
    "no JSON": b"{",
    "no UTF-8": b'{"a":"\xff\xfe"}',
    "zero bytes": b"\0" * 1000,
    "deep arrays": b"[" * 100_000,
    "deep arrays, closed": b"[" * 50_000 + b"]" * 50_000,
    "deep objects": b'{"properties":' * 20_000 + b"1" + b"}" * 20_000,
    "deep in a property": _inside(b"[" * 600 + b"]" * 600),
    "many keys": json.dumps({f"key{n}": n for n in range(100_000)}).encode(),
    "many keys in a row": json.dumps([{f"key{n}": n for n in range(60_000)}]).encode(),
    "many keys in a property": _inside(json.dumps({f"k{n}": n for n in range(10_000)}).encode()),
    "many rows": b"[" + b"{}," * 200_000 + b"{}]",
    "huge numbers": _inside(b"1" * 5_000),
    "huge exponents": _inside(b"1e999999"),
    "small exponents": _inside(b"-1e-999999"),
    "integers over 64 bits": _inside(b"18446744073709551616"),
    "not a number": _inside(b"NaN"),
    "half of a surrogate pair": _inside(b'"\\ud800"'),
    "half of a surrogate pair as a key": b'[{"\\udfff":1}]',
    "a key twice": b'{"properties":{},"properties":{"a":1,"a":2},"query":"print 1","query":"print 2"}',
    "a key twice in a row": b'[{"a":1,"a":2}]',
    "zero characters": _inside(b'"\\u0000"'),
    "a long text": _inside(b'"' + b"x" * 150_000 + b'"'),
    "prototype": b'{"__proto__":{"a":1},"constructor":1,"__class__":{}}',
    "rows of rows": b"[[[]],[{}]]",
}

PACKED: dict[str, bytes] = {
    "bomb of spaces": gzip.compress(b" " * (200 * _MIB), 9),
    "bomb of rows": gzip.compress(b"[" + b'{"a":1},' * (20 * _MIB) + b"{}]", 9),
    "bomb in a bomb": gzip.compress(gzip.compress(b" " * (100 * _MIB), 9), 9),
    "no gzip": b"\x1f\x8b" + b"x" * 100,
    "half of a gzip": gzip.compress(b"[{}]" * 1000)[:20],
    "two members": gzip.compress(b"[") + gzip.compress(b"]"),
}


def rss(started: Started) -> int:
    """Resident bytes of the core process."""
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(started.now.core_pid)], capture_output=True, text=True, check=True
    )
    return int(shown.stdout) * 1024


@pytest.fixture(scope="module")
def bearer(victim: Started) -> dict[str, str]:
    return tokens(victim, "hostile-bodies", *EVERYTHING, scope=victim.subscription, permissions=DIRECTORY)


def chosen(document: dict[str, Any], body: bytes) -> list[Operation]:
    """The operations that take a body; a long one goes to one type of each namespace, for the types share their code."""
    found = [one for one in operations(document) if one.writes]
    if len(body) < LONG or THOROUGH:
        return found
    return list({one.family: one for one in found if one.method != "PATCH"}.values())


def send(victim: Started, document: dict[str, Any], bearer: dict[str, str], body: bytes, *, packed: bool) -> list[str]:
    """What was wrong with the answers."""
    wrong = []
    target = target_of(victim, "hostile")
    reached = 0
    for operation in chosen(document, body):
        headers = {"Content-Type": "application/x-www-form-urlencoded" if operation.form else "application/json"}
        headers |= {"Content-Encoding": "gzip"} if packed else {}
        token = bearer[operation.audience] if operation.audience else None
        started = time.perf_counter()
        path = f"{target.fill(operation.path)}?api-version=2023-01-01"
        answer = victim.call(operation.method, path, token, headers, data=body)
        took = time.perf_counter() - started
        reached += answer.status_code not in (401, 403, 404)
        allowed = (operation.method, operation.path, body) in ALLOWED
        if answer.status_code >= 500 and not allowed:
            wrong.append(f"{operation.label}: {answer.status_code} {answer.text[:200]}")
        if "Traceback" in answer.text or 'File "' in answer.text:
            wrong.append(f"{operation.label}: shows a traceback")
        if took > SECONDS:
            wrong.append(f"{operation.label}: took {took:.1f} s")
    assert reached > 10, "most handlers were reached"
    return wrong


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused_or_taken_everywhere(
    victim: Started, document: dict[str, Any], bearer: dict[str, str], name: str
) -> None:
    assert send(victim, document, bearer, BODIES[name], packed=False) == []
    assert rss(victim) < MOST_RSS


@pytest.mark.parametrize("name", PACKED)
def test_what_is_packed_does_not_fill_the_memory(
    victim: Started, document: dict[str, Any], bearer: dict[str, str], name: str
) -> None:
    before = rss(victim)
    assert send(victim, document, bearer, PACKED[name], packed=True) == []
    assert rss(victim) < min(MOST_RSS, before + 300 * _MIB)


def test_it_still_serves(victim: Started) -> None:
    assert victim.query("print x = 1") == [{"x": 1}]
    log = (victim.folder / "core.log").read_text()
    assert "request failed" not in log
    assert "Traceback" not in log
