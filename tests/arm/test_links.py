"""Templates and parameters by link: what is fetched, from where, and what the guard keeps out of reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
import tracemalloc
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError
from lurewire.core.outbound import Outbound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.arm.house import House
    from tests.arm.templates import GROUP_ID, body, nested, outputs, stored, template, widget
else:
    from arm.house import House
    from arm.templates import GROUP_ID, body, nested, outputs, stored, template, widget


class Files:
    """A web server of a template's author, on loopback."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.seen: list[str] = []
        self.stop = threading.Event()
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.seen.append(self.path)
                assert self.headers.get("Authorization") is None
                path = self.path.partition("?")[0]
                if path == "/hangs":
                    files.stop.wait(20)
                status, headers, content = files.files.get(path, (404, {}, b"{}"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                """Nothing is said."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def put(self, path: str, what: Any, status: int = 200, **headers: str) -> str:
        content = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.files[path] = (status, headers, content)
        return self.url + path

    def close(self) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def files() -> Iterator[Files]:
    made = Files()
    yield made
    made.close()


@pytest.fixture
async def near(house: House) -> AsyncIterator[House]:
    """A server that may reach loopback, as with the setting outbound.allow_private."""
    house.outbound = Outbound({}, {}, allow_private=True)
    yield house
    await house.outbound.close()


@contextlib.asynccontextmanager
async def limited(folder: Path, **limits: int) -> AsyncIterator[House]:
    """The same with limits of its own."""
    house = House(folder, {f"arm.{name}": value for name, value in limits.items()})
    await house.open()
    house.outbound = Outbound({}, {}, allow_private=True)
    yield house
    await house.outbound.close()
    house.db.close()


def link(name: str, to: dict[str, Any], parameters: Any = None, **more: Any) -> dict[str, Any]:
    properties = {"mode": "Incremental", "templateLink": to} | ({} if parameters is None else parameters)
    base = {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": name}
    return base | {"properties": properties} | more


def by(uri: str, **more: Any) -> dict[str, Any]:
    return {"properties": {"mode": "Incremental", "templateLink": {"uri": uri}} | more}


LEAF = template(
    widget("[parameters('name')]", {"at": "[deployment().properties.templateLink.uri]"}),
    parameters={"name": {"type": "string"}},
    outputs={"o": {"type": "string", "value": "[parameters('name')]"}},
)


async def test_templates_parameters_and_what_they_link_to(near: House, files: Files) -> None:
    files.put("/t/leaf/leaf.json", b"// as people write them\n" + json.dumps(LEAF).encode())
    files.put("/t/leaf.parameters.json", {"contentVersion": "1.0.0.0", "parameters": {"name": {"value": "file"}}})
    files.put("/t/middle.json", template(link("deep", {"relativePath": "leaf/leaf.json"}, inline("deep"))))
    beside = "[uri(deployment().properties.templateLink.uri, 'leaf.parameters.json')]"
    root = template(
        link("relative", {"relativePath": "leaf/leaf.json", "contentVersion": "1.0.0.0"}, inline("relative")),
        link("copied", {"relativePath": "leaf/leaf.json"}, inline("[concat('c', copyIndex())]"))
        | {"name": "[concat('copied', copyIndex())]", "copy": {"name": "l", "count": 2}},
        link("middle", {"relativePath": "middle.json"}),
        link("file", {"uri": f"{files.url}/t/leaf/leaf.json?sv=hush-1"}, {"parametersLink": {"uri": beside}}),
        link("late", {"relativePath": "leaf/leaf.json"}, inline("[reference('file').outputs.o.value]", "-late")),
        parameters={"p": {"type": "string"}},
        outputs={"o": {"type": "string", "value": "[reference('relative').outputs.o.value]"}},
    )
    files.put("/t/root.json", root)
    files.put("/t/root.parameters.json", {"parameters": {"p": {"value": "v"}}})
    sent = by(f"{files.url}/t/root.json", parametersLink={"uri": f"{files.url}/t/root.parameters.json"})
    sent["properties"]["templateLink"]["queryString"] = "sv=hush-2"
    done = (await near.deployments.deploy(GROUP_ID, "d1", sent))["properties"]
    assert outputs(done) == {"o": "relative"}
    for name in ("relative", "c0", "c1", "deep", "file", "file-late"):
        assert stored(near, name)["at"].startswith(f"{files.url}/t/leaf/leaf.json"), name
    assert sorted(files.seen) == [
        "/t/leaf.parameters.json",
        "/t/leaf/leaf.json?sv=hush-1",
        "/t/leaf/leaf.json?sv=hush-2",
        "/t/middle.json?sv=hush-2",
        "/t/root.json?sv=hush-2",
        "/t/root.parameters.json",
    ]
    assert done["templateLink"] == {"uri": f"{files.url}/t/root.json"}
    assert done["parametersLink"] == {"uri": f"{files.url}/t/root.parameters.json"}
    assert "hush-" not in repr(near.deployments.list(GROUP_ID))
    assert "hush-" not in repr([near.deployments.template(GROUP_ID, name) for name in ("d1", "middle")])
    assert near.deployments.template(GROUP_ID, "d1")["outputs"] == root["outputs"]


def inline(name: str, more: str = "") -> dict[str, Any]:
    value = f"[concat({name[1:-1]}, '{more}')]" if more else name
    return {"parameters": {"name": {"value": value}}}


async def test_a_rollback_links_as_before(near: House, files: Files) -> None:
    files.put("/leaf.json", LEAF)
    root = files.put("/root.json", template(link("in", {"relativePath": "leaf.json"}, inline("kept"))))
    await near.deployments.deploy(GROUP_ID, "good", by(root))
    bad = body(template(widget("bad", {"explode": "now"})))
    bad["properties"]["onErrorDeployment"] = {"type": "LastSuccessful"}
    failed = (await near.deployments.deploy(GROUP_ID, "bad", bad))["properties"]
    assert failed["onErrorDeployment"]["provisioningState"] == "Succeeded", failed
    assert stored(near, "kept") is not None


async def refused(house: House, sent: dict[str, Any]) -> ArmError:
    with pytest.raises(ArmError) as raised:
        await house.deployments.validate(GROUP_ID, "d1", sent)
    assert raised.value.status == 400
    return raised.value


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:{port}/t.json",
        "http://localhost:{port}/t.json",
        "http://[::1]:{port}/t.json",
        "http://[::ffff:127.0.0.1]:{port}/t.json",
        "http://2130706433:{port}/t.json",
        "http://0x7f.1:{port}/t.json",
        "http://user@127.0.0.1:{port}/t.json",
        "http://169.254.169.254/metadata/instance",
        "http://10.0.0.1/t.json",
        "http://[fd00::1]/t.json",
        "http://0.0.0.0:{port}/t.json",
    ],
)
async def test_private_addresses_are_out_of_reach(house: House, files: Files, uri: str) -> None:
    files.put("/t.json", template())
    target = uri.format(port=files.url.rpartition(":")[2])
    for sent in (by(target), body(template(link("in", {"uri": target})))):
        error = await refused(house, sent)
        assert error.code == "InvalidContentLink"
        assert "Unable to download deployment content" in error.message
    assert files.seen == []


async def test_redirects_are_not_followed(near: House, files: Files) -> None:
    files.put("/inside.json", template(widget("w")))
    for status in (301, 302, 303, 307, 308):
        away = files.put("/away.json", b"", status, Location=f"{files.url}/inside.json")
        error = await refused(near, by(away))
        assert (error.code, f"answered {status}, a redirect" in error.message) == ("InvalidContentLink", True)
    assert set(files.seen) == {"/away.json"}


async def test_routes_lead_to_no_room(house: House) -> None:
    asked: list[str] = []

    async def room(scope: Any, _receive: Any, _send: Any) -> None:
        asked.append(scope["path"])

    house.outbound = Outbound({"rooms.example": "arm", "localhost:8443": "arm"}, {"arm": room})
    for uri in ("https://rooms.example/t.json", "https://ROOMS.example:443/t.json", "https://localhost:8443/t.json"):
        error = await refused(house, by(uri))
        assert "a room of this install" in error.message
    assert asked == []


async def test_what_comes_back_is_bounded_json_and_never_shown(tmp_path: Path, files: Files) -> None:
    large = files.put("/large.json", template() | {"metadata": {"x": "y" * 20_000}})
    half = [files.put(f"/half{at}.json", template() | {"metadata": {"x": "y" * 12_000}}) for at in range(3)]
    secret = files.put("/secret", b"root:x:0:0:hush\n")
    async with limited(tmp_path, request_bytes=20_000, link_bytes=30_000, link_seconds=1) as house:
        for uri, wrong in (
            (large, "more than 20000 bytes"),
            (files.url + "/nothing.json", "It answered 404"),
            (secret, "no JSON object"),
            (files.put("/list.json", [1]), "no JSON object"),
            (files.put("/deep.json", b"[" * 500), "no JSON object"),
            (files.put("/bytes", b"\xff\xfe{"), "no JSON object"),
            (files.url + "/hangs", "no answer within"),
            ("http://nobody.invalid/t.json", "failed"),
        ):
            error = await refused(house, by(uri))
            assert (error.code, wrong in error.message) == ("InvalidContentLink", True), error.message
            assert "hush" not in error.message
        slow = [link(f"n{at}", {"uri": f"{files.url}/hangs?{at}"}) for at in range(20)]
        began = time.perf_counter()
        assert "had no answer within" in (await refused(house, body(template(*slow)))).message
        assert time.perf_counter() - began < 5
        sent = body(template(*(link(f"n{at}", {"uri": uri}) for at, uri in enumerate(half))))
        assert "30000 bytes in all" in (await refused(house, sent)).message


@contextlib.asynccontextmanager
async def answering(raw: bytes) -> AsyncIterator[str]:
    """A server that answers everything with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/t.json"


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-hush\r\n",
        b"HTTP/1.1 200 OK\r\nhush hush\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhush\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhush",
        b"HTTP/1.1 302 hush\r\nLocation: http://hush/\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_not_shown_either(near: House, raw: bytes) -> None:
    async with answering(raw) as url:
        error = await refused(near, by(url))
    assert error.code == "InvalidContentLink"
    assert "hush" not in error.message


async def test_what_is_packed_is_bounded_as_it_is_unpacked(near: House) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(300)) + packer.flush()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    tracemalloc.start()
    try:
        async with answering(head + packed) as url:
            error = await refused(near, by(url))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more than 4194304 bytes" in error.message
    assert peak < 64 << 20


async def test_one_that_cannot_be_had_fails_no_other(near: House, files: Files) -> None:
    """Links inside of what waits for a resource are found while the deployment runs."""

    def late(name: str, uri: str) -> dict[str, Any]:
        inside = template(link(f"{name}-in", {"uri": uri}), parameters={"x": {"type": "string"}})
        made = nested(name, inside, {"x": "[reference('w').size]"}, scope="inner")
        return made | {"dependsOn": ["w"]}

    good = files.put("/good.json", template(widget("made")))
    what = template(widget("w", {"size": "1"}), late("a", files.url + "/nothing.json"), late("b", good))
    done = (await near.deployments.deploy(GROUP_ID, "d1", body(what)))["properties"]
    [failed] = done["error"]["details"]
    assert (failed["target"].rpartition("/")[2], failed["code"]) == ("a", "InvalidContentLink"), done["error"]
    assert stored(near, "made") is not None


async def test_a_rollback_has_the_limits_of_links_for_itself(tmp_path: Path, files: Files) -> None:
    root = template(link("in", {"uri": files.put("/leaf.json", LEAF)}, inline("kept")))
    other = files.put("/other.json", template(widget("bad", {"explode": "now"})))
    async with limited(tmp_path, template_links=1) as house:
        await house.deployments.deploy(GROUP_ID, "good", body(root))
        bad = body(template(link("in", {"uri": other})))
        bad["properties"]["onErrorDeployment"] = {"type": "LastSuccessful"}
        failed = (await house.deployments.deploy(GROUP_ID, "bad", bad))["properties"]
        assert failed["onErrorDeployment"]["provisioningState"] == "Succeeded", failed


async def test_how_much_is_linked_to_is_bounded(tmp_path: Path, files: Files) -> None:
    async with limited(tmp_path, template_links=3) as house:
        around = files.put("/round.json", template(link("in", {"relativePath": "round.json"})))
        assert "deeper than 5" in (await refused(house, by(around))).message
        assert files.seen == ["/round.json"]
        many = [link(f"n{at}", {"uri": files.put(f"/{at}.json", template())}) for at in range(4)]
        assert "more than 3 documents" in (await refused(house, body(template(*many)))).message


@pytest.mark.parametrize(
    ("properties", "code", "wrong"),
    [
        ({"templateLink": {"uri": "file:///etc/passwd"}}, "InvalidDeployment", "one of http or https"),
        ({"templateLink": {"uri": "ftp://x.example/t"}}, "InvalidDeployment", "one of http or https"),
        ({"templateLink": {"uri": "https://[x"}}, "InvalidDeployment", "one of http or https"),
        ({"templateLink": {"uri": 7}}, "InvalidDeployment", "one of http or https"),
        ({"templateLink": "https://x.example"}, "InvalidDeployment", "has the form"),
        ({"templateLink": {"relativePath": "a.json"}}, "InvalidDeployment", "'relativePath' is not supported"),
        ({"templateLink": {"uri": "https://x.example"}, "template": template()}, "InvalidDeployment", "not both"),
        (
            {"template": template(), "parameters": {"a": {}}, "parametersLink": {"uri": "https://x.example"}},
            "InvalidDeployment",
            "not both",
        ),
        ({"template": template(link("in", {"relativePath": "a.json"}))}, "InvalidTemplate", "'relativePath' needs"),
        ({"template": template(link("in", {"id": "/x"}))}, "InvalidTemplate", "'id' is not supported"),
        ({"template": template(link("in", {}))}, "InvalidTemplate", "has the form"),
        ({"template": template(link("in", {"uri": "gopher://x"}))}, "InvalidTemplate", "no URI of http or https"),
        (
            {"template": template(link("in", {"uri": "https://x.example"}, {"template": template()}))},
            "InvalidTemplate",
            "not both",
        ),
        (
            {"template": template(link("in", {"uri": "[reference('w').x]"}), widget("w"))},
            "InvalidTemplate",
            "is not expected at this location",
        ),
    ],
)
async def test_links_of_another_form(house: House, properties: dict[str, Any], code: str, wrong: str) -> None:
    error = await refused(house, {"properties": {"mode": "Incremental"} | properties})
    assert (error.code, wrong in error.message) == (code, True), error.message


async def test_versions_and_relative_paths_must_fit(near: House, files: Files) -> None:
    leaf = files.put("/t/leaf.json", LEAF)
    error = await refused(
        near, {"properties": {"mode": "Incremental", "templateLink": {"uri": leaf, "contentVersion": "2"}}}
    )
    assert "does not have the content version '2'" in error.message
    none = files.put("/none.json", {})
    error = await refused(
        near, {"properties": {"mode": "Incremental", "template": template(), "parametersLink": {"uri": none}}}
    )
    assert "has no 'parameters'" in error.message
    for path in ("https://x.example/a.json", "//x.example/a.json", "/a.json", ""):
        root = files.put("/t/root.json", template(link("in", {"relativePath": path})))
        assert "must be a path without a host" in (await refused(near, by(root))).message


async def test_a_key_in_a_link_is_shown_to_nobody(near: House, files: Files) -> None:
    files.put("/hush-path/leaf.json", LEAF)
    at = f"{files.url}/[x]?[y]".replace("[x]", "{0}").replace("[y]", "{1}")
    what = template(
        link(
            "in", {"uri": f"[format('{at}', concat(parameters('dir'), '/leaf.json'), parameters('sas'))]"}, inline("w")
        ),
        parameters={"dir": {"type": "securestring"}, "sas": {"type": "securestring"}},
    )
    values = {"dir": "hush-path", "sas": "sig=hush-sas"}
    done = (await near.deployments.deploy(GROUP_ID, "d1", body(what, values)))["properties"]
    assert done["provisioningState"] == "Succeeded", done
    assert files.seen == ["/hush-path/leaf.json?sig=hush-sas"]
    shown: list[Any] = [near.deployments.list(GROUP_ID), near.deployments.operations(GROUP_ID, "d1")]
    shown += [near.deployments.template(GROUP_ID, name) for name in ("d1", "in")]
    assert "hush" not in repr(shown)
    files.files.clear()
    assert "hush" not in (await refused(near, body(what, values))).message
