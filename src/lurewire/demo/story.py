"""What a touch on a decoy became: watched over the public APIs, told step by step.

Each step's time is the product's own record of it, less the time of the touch.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.demo.api import Api

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one source's story: `kind` names the room's thing, `seconds` counts from the touch."""

    source: str
    kind: str
    seconds: float
    text: str


@dataclass(slots=True)
class Trail:
    """All that is known of one source so far."""

    source: str
    touched: datetime
    escalates: bool
    seen: set[str] = field(default_factory=set)
    threat_uuid: str = ""
    incident: dict[str, Any] = field(default_factory=dict)
    comment: str = ""
    run: dict[str, Any] = field(default_factory=dict)
    enrichment: dict[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        """The incident's severity; empty while there is none."""
        return str(self.incident.get("properties", {}).get("severity", ""))

    @property
    def labels(self) -> list[str]:
        """The incident's tags."""
        return [label["labelName"] for label in self.incident.get("properties", {}).get("labels", [])]

    @property
    def complete(self) -> bool:
        """Whether the whole chain happened: run ended, comment, enrichment row, and severity as the score asks."""
        escalated = self.severity == "High" and "auto-escalated" in self.labels
        return bool(
            self.comment
            and self.enrichment
            and self.run.get("properties", {}).get("status") == "Succeeded"
            and escalated == self.escalates
        )


def moment(text: str) -> datetime:
    """The time that an API wrote, of which Python keeps six of seven digits."""
    head, _, fraction = text.removesuffix("Z").removesuffix("+00:00").partition(".")
    return datetime.fromisoformat(head).replace(microsecond=int(fraction[:6].ljust(6, "0")), tzinfo=UTC)


class Watcher:
    """Polls the APIs until each trail is complete; tells each step once, as it is found."""

    def __init__(self, api: Api, workflow: str, tell: Callable[[Step], None]) -> None:
        self._api = api
        self._workflow = workflow
        self._tell = tell
        self._found: list[Step] = []

    async def follow(self, trails: Sequence[Trail], seconds: float) -> bool:
        """True once all trails are complete; False where they are not after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not all(trail.complete for trail in trails):
                    await self._look(trails)
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _look(self, trails: Sequence[Trail]) -> None:
        await self._threats(trails)
        await self._incidents(trails)
        await self._runs_of(trails)
        await self._enrichment(trails)
        for step in sorted(self._found, key=lambda step: step.seconds):
            self._tell(step)
        self._found.clear()

    def _step(self, trail: Trail, kind: str, at: str, text: str) -> None:
        if kind not in trail.seen:
            trail.seen.add(kind)
            self._found.append(Step(trail.source, kind, (moment(at) - trail.touched).total_seconds(), text))

    async def _threats(self, trails: Sequence[Trail]) -> None:
        if all(trail.threat_uuid for trail in trails):
            return
        rows = await self._api.query(
            "TrapEye_Threats_CL | project source_ip, threat_uuid, TimeGenerated, Product, received = ingestion_time()"
        )
        for trail in trails:
            for row in rows:
                if row["source_ip"] == trail.source and row["threat_uuid"] != trail.threat_uuid:
                    trail.threat_uuid = row["threat_uuid"]
                    self._step(trail, "event", row["TimeGenerated"], f"new_threat {trail.threat_uuid}")
                    text = f"received by the workspace: TrapEye_Threats_CL, Product {row['Product']}"
                    self._step(trail, "row", row["received"], text)

    async def _incidents(self, trails: Sequence[Trail]) -> None:
        incidents = await self._api.incidents()
        for trail in trails:
            for incident in incidents:
                properties = incident["properties"]
                if not properties["title"].endswith(f" {trail.source}"):
                    continue
                trail.incident = incident
                if "incident" not in trail.seen:
                    await self._alert(trail)
                number = properties["incidentNumber"]
                self._step(trail, "incident", properties["createdTimeUtc"], f"number {number}: {properties['title']}")
                if trail.severity == "High" and "auto-escalated" in trail.labels:
                    text = f"severity High, status {properties['status']}, tags {', '.join(trail.labels)}"
                    self._step(trail, "escalation", properties["lastModifiedTimeUtc"], text)
            if trail.incident and not trail.comment:
                for comment in await self._api.comments(trail.incident["id"]):
                    trail.comment = comment["properties"]["message"]
                    self._step(trail, "comment", comment["properties"]["createdTimeUtc"], "enrichment as a comment")

    async def _alert(self, trail: Trail) -> None:
        for alert in (await self._api.post(f"{trail.incident['id']}/alerts"))["value"]:
            properties = alert["properties"]
            entities = await self._api.post(f"{trail.incident['id']}/entities")
            found = ", ".join(f"{e['kind']} {e['properties']['friendlyName']}" for e in entities["entities"])
            self._step(trail, "alert", properties["timeGenerated"], f"{properties['alertDisplayName']}; {found}")

    async def _runs_of(self, trails: Sequence[Trail]) -> None:
        for trail in trails:
            if not trail.incident or trail.run.get("properties", {}).get("status") == "Succeeded":
                continue
            for run in (await self._api.get(f"{self._workflow}/runs"))["value"]:
                incident = run["properties"]["trigger"]["outputs"]["body"]["object"]
                if incident["id"].lower() == trail.incident["id"].lower():
                    trail.run = run
            if trail.run.get("properties", {}).get("status") == "Succeeded":
                actions = (await self._api.get(f"{trail.run['id']}/actions"))["value"]
                names = ", ".join(action["name"] for action in actions)
                self._step(trail, "run", trail.run["properties"]["endTime"], f"{trail.run['name']} Succeeded: {names}")

    async def _enrichment(self, trails: Sequence[Trail]) -> None:
        if all(trail.enrichment for trail in trails):
            return
        rows = await self._api.query("IPInsights_CL")
        for trail in trails:
            for row in rows:
                if row["ip_s"] == trail.source:
                    trail.enrichment = row
                    text = f"IPInsights_CL: score {row['threat_score_d']:g}, {row['country_s'] or 'country unknown'}"
                    self._step(trail, "enrichment", row["TimeGenerated"], text)
