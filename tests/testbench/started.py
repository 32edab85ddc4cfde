"""A whole Lurewire over HTTPS, as `lurewire up` starts it, on a thread of its own; without decoys."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import requests
from azure.identity import ClientSecretCredential

from lurewire.settings import Settings
from lurewire.supervisor import Running, Supervisor, ask_control

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

MANAGEMENT = "https://management.azure.com/.default"
LOGS = "https://api.loganalytics.io"


class Started:
    """Running between `start` and `stop`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        values = {"server.port": 0, "sensor.enabled": False}
        values |= {name.replace("__", "."): value for name, value in settings.items()}
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._supervisor = Supervisor(folder, Settings(values), logs=True)
        self.now: Running
        self._session = requests.Session()

    def start(self) -> Started:
        self._thread.start()
        self.now = self._run(self._supervisor.start())
        return self

    def stop(self) -> None:
        self._session.close()
        self._run(self._supervisor.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return self.now.url

    @property
    def ca(self) -> str:
        return str(self.now.facts["ca"])

    @property
    def workspace_id(self) -> str:
        return str(self.now.facts["workspace_id"])

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.now.facts['subscription_id']}"

    @property
    def group(self) -> str:
        return f"{self.subscription}/resourceGroups/lurewire"

    @property
    def workspace(self) -> str:
        return f"{self.group}/providers/Microsoft.OperationalInsights/workspaces/lurewire"

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        return ask_control(self.now.control, path, body)

    def app(self, name: str, *roles: str, scope: str | None = None, permissions: Sequence[str] = ()) -> dict[str, str]:
        body = {"name": name, "roles": list(roles), "scope": scope, "permissions": list(permissions)}
        made: dict[str, str] = self.ask("/apps", body)
        return made

    def credential(
        self, name: str, *roles: str, scope: str | None = None, permissions: Sequence[str] = ()
    ) -> ClientSecretCredential:
        made = self.app(name, *roles, scope=scope, permissions=permissions)
        return ClientSecretCredential(
            self.now.facts["tenant_id"],
            made["client_id"],
            made["client_secret"],
            authority=self.url,
            disable_instance_discovery=True,
            connection_verify=self.ca,
        )

    def call(
        self, method: str, path: str, token: str | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        url = path if path.startswith("https:") else self.url + path
        return self._session.request(method, url, headers=sent, timeout=60, verify=self.ca, **more)

    def query(self, text: str) -> list[dict[str, Any]]:
        table = self.ask("/query", {"query": text})["tables"][0]
        names: Sequence[str] = [column["name"] for column in table["columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["rows"]]

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)
