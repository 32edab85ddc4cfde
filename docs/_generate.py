"""Writes the pages of the manual that tables in the code decide: `python docs/_generate.py`.

`settings.md` is `lurewire.settings.SETTINGS`; `limits.md` is the `LIMITS` of every room's `limits.py`; `routes.md` is what
the routes of a server that is built for it declare. A test fails while a page is older than its table.
"""  # noqa: INP001 - a script

from __future__ import annotations

import asyncio
import importlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lurewire.app.build import Core
from lurewire.core.clock import SystemClock
from lurewire.core.http import Audience, Public
from lurewire.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.http import RoomRoutes, Route
    from lurewire.settings import Setting

DOCS = Path(__file__).parent
ROOMS = DOCS.parent / "src" / "lurewire"

_GENERATED = "% Written by docs/_generate.py: change the table in the code, then run it.\n\n"

_SETTINGS_HEAD = """\
# Settings

Each setting has one name and one type, and is declared once in the code. From lowest to highest, its value comes from

1. its default,
2. the file `lurewire.toml` in the state folder,
3. an environment variable: `LUREWIRE_`, then the name in capitals with two underscores for a dot, such as
   `LUREWIRE_SERVER__PORT`,
4. `--set name=value` on the command line.

In a variable or on the command line a list is written `a,b` and a table `a=x,b=y`. `lurewire settings` prints every
setting with the value that it has for a state folder. An unknown name in the file or on the command line, and a value
that does not fit, end the command with a message that names the place.

| Setting | Type | Default | Meaning |
| --- | --- | --- | --- |
"""

_LIMITS_HEAD = """\
# Limits

What is bounded, by how much, and who says so. Where Microsoft documents a limit of the service, the value is the
documented one; the others are ours, so that no client and no attacker can use up the machine. What exceeds a limit gets
the error that the service documents, and is not cut short in silence unless the service does so, too.

The setting `limits` gives a limit another value, by its name. Those of the KQL compiler and of the sensor are
fixed.
"""

_ROUTES_HEAD = """\
# Routes

What answers, and what it takes. Most routes need a token for one service and a role that allows an action at the
resource in the path; the others say why they need none. A test asks every route with every built-in role.

`{name}` stands for one segment of a path, `{name:path}` for one or more. Case does not count. The actions of Microsoft
Graph (`microsoft.directory/...`) come with its permissions, `Application.Read.All` and others, never with a role of
Azure's.
"""

_SERVICES = {
    Audience.MANAGEMENT: "Resource Manager",
    Audience.MONITOR: "Azure Monitor",
    Audience.LOG_ANALYTICS: "Log Analytics",
    Audience.VAULT: "Key Vault",
    Audience.GRAPH: "Microsoft Graph",
}

_ROOM_TITLES = {
    "collector": "HTTP Data Collector API",
    "graph": "Microsoft Graph",
    "managed identity": "Managed identities",
    "samples": "Schema from a sample",
    "testbench": "Test bench",
    "tables": "Workspaces and tables",
    "keys": "Keys of workspaces",
    "arm": "Resource Manager",
    "ipintel": "IP lookup",
    "kql": "KQL compiler",
}


def settings_page() -> str:
    """The text of `settings.md`."""
    rows = [
        f"| `{s.name}` | {_type(s)} | {_code(_toml(s.default))} | {_cell(s.help)} |"
        for s in sorted(SETTINGS, key=lambda s: s.name)
    ]
    return _GENERATED + _SETTINGS_HEAD + "\n".join(rows) + "\n\n" + _example()


def _type(setting: Setting) -> str:
    names = {"str": "text", "bool": "boolean", "int": "number", "list": "list of {}s", "dict": "table of {}s"}
    kind = names[setting.kind.__name__].format(names[setting.item.__name__])
    return f"{kind}: {', '.join(setting.choices)}" if isinstance(setting.choices, tuple) and setting.choices else kind


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def _example() -> str:
    return """\
The same in a file:

```toml
[server]
port = 9443

[sensor]
ssh_port = 22
proxy_from = ["10.0.0.0/8"]

[outbound.routes]
"ipinsights.io" = "ipintel"

[limits]
"workspace.query_rows" = 10000
```
"""


def limits_page() -> str:
    """The text of `limits.md`."""
    parts = [_GENERATED + _LIMITS_HEAD]
    for room in sorted(file.parent.name for file in ROOMS.glob("*/limits.py")):
        declared = getattr(importlib.import_module(f"lurewire.{room}.limits"), "LIMITS", ())
        if not declared:
            continue
        rows = [
            f"| {_code(limit.name)} | {limit.value:,} | {_cell(limit.unit)} | {_source(getattr(limit, 'source', ''))} |"
            for limit in declared
        ]
        title = _ROOM_TITLES.get(room, room.capitalize())
        head = f"\n## {title}\n\n| Limit | Value | Unit | Source |\n| --- | ---: | --- | --- |\n"
        parts.append(head + "\n".join(rows) + "\n")
    return "".join(parts)


def _source(text: str) -> str:
    if text.startswith("https://"):
        return f"<{text}>"
    if text.startswith("docs/"):
        page, _, anchor = text.removeprefix("docs/").partition("#")
        return f"[{page}]({page}{'#' + anchor if anchor else ''})"
    return _cell(text) or "Lurewire"


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def routes_page() -> str:
    """The text of `routes.md`."""
    parts = [_GENERATED + _ROUTES_HEAD]
    for room in sorted(_rooms(), key=lambda room: room.room):
        rows: dict[tuple[str, str], list[str]] = {}
        for route in room.routes:
            rows.setdefault((route.path, _needs(route)), []).append(route.method)
        lines = [
            f"| {', '.join(dict.fromkeys(methods))} | {_code(path)} | {needs} |"
            for (path, needs), methods in sorted(rows.items())
        ]
        title = _ROOM_TITLES.get(room.room, room.room[:1].upper() + room.room[1:])
        head = f"\n## {title}\n\n| Method | Path | Needs |\n| --- | --- | --- |\n"
        parts.append(head + "\n".join(lines) + "\n")
    return "".join(parts)


def _needs(route: Route) -> str:
    if isinstance(route.access, Public):
        return f"no token: {_cell(route.access.reason)}"
    kind = "data action" if route.access.data else "action"
    return f"{kind} {_code(route.access.action)}, {_SERVICES[route.access.audience]}"


def _rooms() -> Sequence[RoomRoutes]:
    async def build(folder: Path) -> Sequence[RoomRoutes]:
        core = Core(folder, Settings({"testbench.enabled": True, "solutions": []}), SystemClock())
        core.open()
        try:
            await core.start(8443)
            return core.routes
        finally:
            await core.stop()

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(build(Path(folder)))


PAGES = {"settings.md": settings_page, "limits.md": limits_page, "routes.md": routes_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
