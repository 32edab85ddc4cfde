"""A run goes on where it was: after a stop, and after kill -9 at any point."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.web import Response
from tests.playbooks.rig import OK, Rig, Web, compose, connection, http, workflow

from lurewire.playbooks import Status

CHILD = Path(__file__).with_name("crash_child.py")


def chain(url: str) -> dict[str, Any]:
    """Pure actions, variables, requests and a loop, each depending on what came before."""
    return {
        "V": {
            "type": "InitializeVariable",
            "inputs": {"variables": [{"name": "log", "type": "array"}, {"name": "n", "type": "integer", "value": 10}]},
        },
        "Items": compose("@createArray('a', 'b', 'c')", {"V": OK}),
        "First": http(f"{url}/first", {"Items": OK}, method="POST", body={"t": "@utcNow()", "g": "@guid()"}),
        "Log": {
            "type": "AppendToArrayVariable",
            "inputs": {"name": "log", "value": "@body('First')['n']"},
            "runAfter": {"First": OK},
        },
        "L": {
            "type": "Foreach",
            "foreach": "@outputs('Items')",
            "runAfter": {"Log": OK},
            "operationOptions": "Sequential",
            "actions": {
                "Ask": http(f"{url}/loop/@{{item()}}"),
                "Note": {
                    "type": "AppendToArrayVariable",
                    "inputs": {"name": "log", "value": "@concat(item(), '-', body('Ask')['n'])"},
                    "runAfter": {"Ask": OK},
                },
                "Plus": {"type": "IncrementVariable", "inputs": {"name": "n"}, "runAfter": {"Note": OK}},
                "Deep": {
                    "type": "If",
                    "expression": {"equals": ["@item()", "b"]},
                    "actions": {"B": http(f"{url}/deep/@{{item()}}")},
                    "runAfter": {"Plus": OK},
                },
            },
        },
        "U": {
            "type": "Until",
            "expression": "@greaterOrEquals(variables('n'), 15)",
            "limit": {"count": 10},
            "actions": {
                "More": http(f"{url}/until/@{{iterationIndexes('U')}}"),
                "Up": {"type": "IncrementVariable", "inputs": {"name": "n"}, "runAfter": {"More": OK}},
            },
            "runAfter": {"L": OK},
        },
        "Comment": connection("POST", "/Incidents/Comment", {"incidentArmId": "i", "message": "m"}, {"U": OK}),
        "End": compose("@createArray(variables('log'), variables('n'), outputs('Ask'))", {"Comment": OK}),
    }


def paths() -> list[str]:
    return ["/first", "/loop/a", "/loop/b", "/deep/b", "/loop/c", "/until/0", "/until/1"]


def check_end(end: Any, numbers: dict[str, int]) -> None:
    log, n, asked = end
    first = numbers["/first"]
    assert log == [first, *(f"{item}-{numbers[f'/loop/{item}']}" for item in "abc")]
    assert n == 15
    assert [one["body"]["n"] for one in asked] == [numbers[f"/loop/{item}"] for item in "abc"]


@pytest.mark.parametrize("path", paths())
async def test_a_stop_while_a_request_is_under_way(folder: Path, web: Web, path: str) -> None:
    numbers: dict[str, int] = {}
    hang = asyncio.Event()
    hung = asyncio.Event()

    async def respond(seen: dict[str, Any]) -> Response:
        if seen["path"] == path and not hung.is_set():
            hung.set()
            await hang.wait()
        numbers[seen["path"]] = len(web.seen)
        return Response(text=json.dumps({"n": len(web.seen)}), content_type="application/json")

    web.respond = respond
    rig = Rig(folder)
    await rig.open()
    await rig.put(workflow(chain(web.url)))
    run = await rig.begin()
    await asyncio.wait_for(hung.wait(), 10)
    await rig.close()
    hang.set()
    rig.manual.advance(600)
    await rig.open()
    done = await rig.finish(run)
    assert done.row.status is Status.SUCCEEDED
    check_end(done["End"].outputs, numbers)
    asked = [seen["path"] for seen in web.seen]
    expected = paths()
    at = expected.index(path)
    assert asked == [*expected[: at + 1], path, *expected[at + 1 :]]
    again = [seen for seen in web.seen if seen["path"] == path]
    assert again[0]["headers"]["x-ms-client-request-id"] == again[1]["headers"]["x-ms-client-request-id"]
    assert again[0]["body"] == again[1]["body"]
    assert len(rig.incident.comments) == 1
    await rig.close()


async def test_a_wait_is_not_begun_anew(folder: Path) -> None:
    rig = Rig(folder)
    await rig.open()
    await rig.put(workflow({"W": {"type": "Wait", "inputs": {"interval": {"count": 10, "unit": "Minute"}}}}))
    run = await rig.begin()
    async with asyncio.timeout(10):
        while not any(seconds == 600 for _, seconds in rig.manual.sleeping):
            await asyncio.sleep(0.005)
    await rig.close()
    rig.manual.advance(400)
    await rig.open()
    assert await rig.next_sleep() == 200
    assert (await rig.finish(run)).row.status is Status.SUCCEEDED
    await rig.close()


async def test_a_run_keeps_its_version_and_its_secrets(folder: Path, web: Web) -> None:
    hung, hang = asyncio.Event(), asyncio.Event()

    async def respond(_: dict[str, Any]) -> Response:
        if not hung.is_set():
            hung.set()
            await hang.wait()
        return Response(text="x")

    web.respond = respond
    rig = Rig(folder)
    await rig.open()
    actions = {
        "S": compose("@concat('<', parameters('K'), '>')"),
        "H": http(f"{web.url}/@{{outputs('S')}}", {"S": OK}),
    }
    await rig.put(workflow(actions, parameters={"K": {"type": "SecureString"}}, values={"K": "old-secret"}))
    run = await rig.begin()
    await asyncio.wait_for(hung.wait(), 10)
    await rig.put(workflow({"Other": compose(1)}))
    await rig.close()
    hang.set()
    await rig.open()
    done = await rig.finish(run)
    assert done.statuses() == {"S": "Succeeded", "H": "Succeeded"}
    assert {seen["path"] for seen in web.seen} == {"/%3Cold-secret%3E"}
    assert done["S"].outputs == "<*sanitized*>"
    sealed = rig.db.read(lambda conn: conn.exec_driver_sql("select count(sealed) from playbooks_actions").scalar_one())
    assert sealed == 0
    await rig.close()


async def test_runs_that_wait_for_their_turn_survive(folder: Path, web: Web) -> None:
    hung, hang = asyncio.Event(), asyncio.Event()

    async def respond(_: dict[str, Any]) -> Response:
        hung.set()
        await hang.wait()
        return Response(text="x")

    web.respond = respond
    rig = Rig(folder)
    await rig.open()
    await rig.put(workflow({"H": http(web.url)}, trigger={"runtimeConfiguration": {"concurrency": {"runs": 1}}}))
    names = [await rig.begin(key=str(index)) for index in range(4)]
    await asyncio.wait_for(hung.wait(), 10)
    await rig.close()
    hang.set()
    await rig.open()
    for name in names:
        assert (await rig.finish(name)).row.status is Status.SUCCEEDED
    await rig.close()


@pytest.mark.parametrize("seed", range(5))
async def test_kill_at_any_point(folder: Path, web: Web, seed: int) -> None:
    chance = random.Random(seed)
    numbers: dict[str, int] = {}
    kill_at = sorted(chance.sample(range(1, 8), 2))
    killed: list[int] = []
    child: asyncio.subprocess.Process | None = None

    async def respond(seen: dict[str, Any]) -> Response:
        at = len(web.seen)
        numbers[seen["path"]] = at
        answer = Response(text=json.dumps({"n": at}), content_type="application/json")
        if kill_at and at >= kill_at[0]:
            kill_at.pop(0)
            killed.append(at)
            assert child is not None
            if chance.random() < 0.5:
                child.send_signal(signal.SIGKILL)  # before the answer
            else:
                asyncio.get_running_loop().call_later(chance.random() * 0.004, child.send_signal, signal.SIGKILL)
        return answer

    web.respond = respond
    rig = Rig(folder)
    await rig.open()
    await rig.put(workflow(chain(web.url)))
    await rig.close()
    report = b""
    for _ in range(10):
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(CHILD), str(folder), stdout=asyncio.subprocess.PIPE
        )
        report, _err = await asyncio.wait_for(child.communicate(), 60)
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
    assert killed
    ended = json.loads(report)
    assert ended["status"] == "Succeeded"
    assert ended["runs"] == 1
    asked = [seen["path"] for seen in web.seen]
    # Every request was made, in order, and one is repeated only while nothing behind it was asked for.
    steps = [path for index, path in enumerate(asked) if index == 0 or asked[index - 1] != path]
    assert steps == paths()
    for path in paths():
        same = [seen for seen in web.seen if seen["path"] == path]
        assert len({seen["headers"]["x-ms-client-request-id"] for seen in same}) == 1
        assert len({seen["body"] for seen in same}) == 1
    check_end(ended["end"], numbers)
