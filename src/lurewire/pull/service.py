"""The pull itself: reads kind by kind, so that what may not be read is named and the rest is there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lurewire.pull import playbooks
from lurewire.pull.bodies import logic_apps, queries, without_workspace_ids, workspaces
from lurewire.pull.client import Unreadable
from lurewire.pull.files import Changes, Folder, canonical
from lurewire.pull.kinds import (
    AUTOMATION,
    COLLECTION_RULES,
    CONNECTIONS_VERSION,
    ENDPOINTS,
    FUNCTIONS,
    KINDS,
    PLAYBOOKS,
    RULES,
    SAMPLES,
    TABLES,
    WATCHLISTS,
    Kind,
    identity_of,
)
from lurewire.pull.samples import sample_text
from lurewire.pull.tables import is_custom, is_listed, schema_file, table_resource
from lurewire.pull.templates import Portable, template
from lurewire.pull.watchlists import watchlist_resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lurewire.pull.client import Source

_WORKSPACES = "2025-02-01"
_USED = "Usage | where TimeGenerated > ago(90d) | distinct DataType"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace: subscription id, resource group and name."""

    subscription: str
    group: str
    workspace: str

    @property
    def group_id(self) -> str:
        """The resource group's ARM id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    @property
    def id(self) -> str:
        """The workspace's ARM id."""
        return f"{self.group_id}/providers/Microsoft.OperationalInsights/workspaces/{self.workspace}"


@dataclass(slots=True)
class Report:
    """What came of it: how many of each folder, what could not be read and why, what else a person should know."""

    counts: dict[str, int] = field(default_factory=dict)
    unread: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)


def pull(
    source: Source, place: Place, folder: Folder, *, sample: int = 0, tell: Callable[[str], None] = lambda _: None
) -> Report:
    """Read the workspace at `place` and bring `folder` in line with it; `sample` rows of each table go along.

    Raises `Unreadable` where the workspace itself cannot be read, `SignInFailed` and `FolderError`.
    """
    return _Pull(source, place, folder, sample, tell).run()


class _Pull:
    def __init__(self, source: Source, place: Place, folder: Folder, sample: int, tell: Callable[[str], None]) -> None:
        self._source = source
        self._place = place
        self._folder = folder
        self._sample = sample
        self._tell = tell
        self._report = Report()
        self._kept: set[str] = set()
        self._texts: list[str] = []
        self._workspace = source.get(place.id, _WORKSPACES)
        self._customer = str((self._workspace.get("properties") or {}).get("customerId") or "")
        self._portable = Portable(place.group, place.workspace, str(self._workspace.get("location") or ""))

    def run(self) -> Report:
        rules, endpoints = self._collection()
        self._know_ids(rules, endpoints)
        for kind, found in ((ENDPOINTS, endpoints), (COLLECTION_RULES, rules)):
            for body in found:
                self._texts += queries(body)
                self._put(kind, kind.title(body), [self._resource(kind, body)])
        for body in self._all(FUNCTIONS):
            if (body.get("properties") or {}).get("functionAlias"):
                self._texts += queries(body)
                self._put(FUNCTIONS, FUNCTIONS.title(body), [self._resource(FUNCTIONS, body)])
        self._watchlists()
        for body in self._all(RULES):
            self._texts += queries(body)
            self._put(RULES, RULES.title(body), [self._resource(RULES, body)])
        automation = self._all(AUTOMATION)
        for body in automation:
            self._put(AUTOMATION, AUTOMATION.title(body), [self._resource(AUTOMATION, body)])
        self._playbooks(logic_apps(automation))
        self._tables()
        for kind in KINDS:
            self._report.counts.setdefault(kind.folder, 0)
        if not self._sample:
            self._kept.add(SAMPLES)
        self._report.changes = self._folder.store(self._kept)
        return self._report

    # Lists, and what cannot be read of them

    def _path(self, kind: Kind) -> str:
        scopes = {
            "workspace": self._place.id,
            "sentinel": f"{self._place.id}/providers/Microsoft.SecurityInsights",
            "subscription": f"/subscriptions/{self._place.subscription}",
        }
        return scopes[kind.scope] + kind.path

    def _all(self, kind: Kind) -> list[dict[str, Any]]:
        """All of a kind, sorted by id; what may be read of the resource group where the subscription's is refused."""
        self._tell(f"{kind.folder}: {kind.type.rpartition('/')[2]}")
        try:
            return self._listed(self._path(kind), kind)
        except Unreadable as error:
            if kind.scope == "subscription" and error.status == 403:
                try:
                    found = self._listed(self._place.group_id + kind.path, kind)
                except Unreadable as inner:
                    return self._missed(kind.folder, kind.type, inner)
                self._report.notes.append(
                    f"{kind.type}: only those of resource group {self._place.group} were read ({error.message})"
                )
                return found
            if kind is WATCHLISTS and error.status in (400, 404):
                self._report.notes.append("watchlists: the source has none, or does not know them")
                return []
            return self._missed(kind.folder, kind.type, error)

    def _listed(self, path: str, kind: Kind) -> list[dict[str, Any]]:
        return sorted(self._source.pages(path, kind.version), key=lambda body: str(body.get("id", "")).lower())

    def _missed(self, folder: str, what: str, error: Unreadable) -> list[dict[str, Any]]:
        self._report.unread.append((what, error.message))
        self._kept.add(folder)
        return []

    # Files

    def _put(
        self, kind: Kind, title: str, resources: list[dict[str, Any]], parameters: dict[str, Any] | None = None
    ) -> None:
        name = str(resources[-1]["name"])
        self._folder.add(kind.folder, title, canonical(template(resources, (parameters or {}).items())), identity=name)
        self._report.counts[kind.folder] = self._report.counts.get(kind.folder, 0) + 1

    def _resource(self, kind: Kind, body: dict[str, Any], properties: dict[str, Any] | None = None) -> dict[str, Any]:
        """A resource as a template has it."""
        given = body.get("properties") if properties is None else properties
        kept = {k: v for k, v in (given or {}).items() if k not in kind.drop and v is not None}
        if kind is COLLECTION_RULES:
            kept = without_workspace_ids(kept)
        name = str(body.get("name") or "")
        made: dict[str, Any] = {"type": kind.type, "apiVersion": kind.version}
        if kind.prefix:
            made["name"] = f"[concat(parameters('workspace'), '{kind.prefix}{name.replace(chr(39), chr(39) * 2)}')]"
        else:
            made["name"] = self._portable.text(name)
        if kind.located:
            made["location"] = "[parameters('location')]"
        for field_name in kind.keep:
            value = identity_of(body) if field_name == "identity" else body.get(field_name)
            if value:
                made[field_name] = (
                    self._with_ids_as_names(value) if field_name == "identity" else self._portable.value(value)
                )
        return made | {"properties": self._portable.value(kept)}

    def _with_ids_as_names(self, identity: dict[str, Any]) -> dict[str, Any]:
        """User-assigned identities are named by the properties of an object: template expressions there are evaluated."""
        assigned = identity.get("userAssignedIdentities")
        return (
            identity
            if not assigned
            else identity | {"userAssignedIdentities": {self._portable.text(one): {} for one in assigned}}
        )

    # Kinds that take more than a list

    def _collection(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The data collection rules that send to this workspace, and the endpoints that they or its group have."""
        rules = [body for body in self._all(COLLECTION_RULES) if self._place.id.lower() in workspaces(body)]
        named = {str((body.get("properties") or {}).get("dataCollectionEndpointId", "")).lower() for body in rules}
        group = f"{self._place.group_id}/".lower()
        endpoints = [
            body
            for body in self._all(ENDPOINTS)
            if str(body.get("id", "")).lower() in named or str(body.get("id", "")).lower().startswith(group)
        ]
        return rules, endpoints

    def _know_ids(self, rules: Iterable[dict[str, Any]], endpoints: Iterable[dict[str, Any]]) -> None:
        portable, place = self._portable, self._place
        portable.replace_workspace(place.id, self._customer)
        portable.replace(place.group_id, "resourceGroup().id")
        portable.replace(f"/subscriptions/{place.subscription}", "subscription().id")
        portable.replace(place.subscription, "subscription().subscriptionId")
        portable.replace(self._source.tenant(place.subscription), "subscription().tenantId")
        group = f"{place.group_id}/".lower()
        for body in rules:
            if str(body.get("id", "")).lower().startswith(group):
                portable.replace_rule(str(body["name"]), str((body.get("properties") or {}).get("immutableId") or ""))
        for body in endpoints:
            access = (body.get("properties") or {}).get("logsIngestion")
            if isinstance(access, dict) and str(body.get("id", "")).lower().startswith(group):
                portable.replace_endpoint(str(body["name"]), str(access.get("endpoint") or ""))

    def _watchlists(self) -> None:
        for body in self._all(WATCHLISTS):
            alias = str((body.get("properties") or {}).get("watchlistAlias") or body.get("name") or "")
            path = f"{self._path(WATCHLISTS)}/{quote(alias, safe='')}/watchlistItems"
            try:
                items = list(self._source.pages(path, WATCHLISTS.version))
            except Unreadable as error:
                self._missed(WATCHLISTS.folder, f"watchlist {alias}", error)
                continue
            properties, notes = watchlist_resource(body.get("properties") or {}, items)
            self._report.notes += (f"watchlist {alias}: {note}" for note in notes)
            self._put(WATCHLISTS, alias, [self._resource(WATCHLISTS, body | {"name": alias}, properties)])

    def _playbooks(self, named: frozenset[str]) -> None:
        group = f"{self._place.group_id}/".lower()
        for listed in self._all(PLAYBOOKS):
            where = str(listed.get("id", ""))
            if not (where.lower().startswith(group) or where.lower() in named or playbooks.is_playbook(listed)):
                continue
            try:
                body = self._source.get(where, PLAYBOOKS.version)
            except Unreadable as error:
                self._missed(PLAYBOOKS.folder, f"playbook {listed.get('name')}", error)
                continue
            self._playbook(body)

    def _playbook(self, body: dict[str, Any]) -> None:
        parameters = playbooks.Parameters()
        properties = playbooks.without_secrets(body, parameters)
        resources, depends = [], []
        for connection_id in playbooks.connections_of(body):
            try:
                found = self._source.get(connection_id, CONNECTIONS_VERSION)
            except Unreadable as error:
                self._report.notes.append(
                    f"playbook {body.get('name')}: its connection {connection_id.rpartition('/')[2]} is not in the file "
                    f"({error.message})"
                )
                continue
            kept = playbooks.connection(found, parameters)
            resources.append(
                {
                    "type": "Microsoft.Web/connections",
                    "apiVersion": CONNECTIONS_VERSION,
                    "name": self._portable.text(str(found.get("name") or "")),
                    "location": "[parameters('location')]",
                    **({"kind": found["kind"]} if found.get("kind") else {}),
                    "properties": self._portable.value(kept),
                }
            )
            depends.append(self._portable.text(connection_id))
        workflow = self._resource(PLAYBOOKS, body, properties)
        resources.append(workflow | ({"dependsOn": depends} if depends else {}))
        self._put(PLAYBOOKS, str(body.get("name") or ""), resources, parameters.declared)

    def _tables(self) -> None:
        """The custom tables, and of Azure's own those with rows or that something pulled names."""
        found = [body for body in self._all(TABLES) if is_listed(body)]
        named = {word for text in self._texts for word in _WORD.findall(text)}
        used = self._used()
        sampled = []
        for body in found:
            name = str(body.get("name") or "")
            if is_custom(body):
                properties = table_resource(body)
                self._put(TABLES, name, [self._resource(TABLES, body, properties)])
            elif name in named or name in used:
                self._folder.add(TABLES.folder, name, canonical(schema_file(body)))
                self._report.counts[TABLES.folder] = self._report.counts.get(TABLES.folder, 0) + 1
            else:
                continue
            sampled.append(name)
        for name in sampled if self._sample else ():
            self._rows(name)

    def _used(self) -> frozenset[str]:
        try:
            _, rows = self._source.query(self._customer, _USED)
        except Unreadable as error:
            self._report.notes.append(f"which of Azure's tables have rows is not known ({error.message})")
            return frozenset()
        return frozenset(str(row[0]) for row in rows if row)

    def _rows(self, name: str) -> None:
        self._tell(f"{SAMPLES}: {name}")
        try:
            text = sample_text(self._source, self._customer, name, self._sample)
        except Unreadable as error:
            self._missed(SAMPLES, f"rows of {name}", error)
            return
        self._folder.add(SAMPLES, name, text)
        self._report.counts[SAMPLES] = self._report.counts.get(SAMPLES, 0) + 1
