"""Templates and parameters that a deployment links to: fetched once each, through the guarded way out.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/templates/linked-templates and
https://learn.microsoft.com/rest/api/resources/deployments/create-or-update#templatelink

Whoever may deploy says where the server is to look. So nothing is asked that the guard refuses, no room of this install
by a route, nowhere that an answer redirects to; and what comes back is used as JSON or not at all, and never shown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from lurewire.arm.deployments.json5 import parse_json5
from lurewire.arm.deployments.secrecy import SHOWN_INSTEAD
from lurewire.arm.errors import InvalidContentLink, InvalidRequestContent
from lurewire.core.outbound import OutboundError, OutboundUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.outbound import Outbound

_AT_ONCE = 8
"""Documents of one deployment that are fetched at a time."""

_LONGEST = 8_192
"""Characters of a URI."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as a deployment has it; `version` is the content version that must be there, `query` goes after the URI.

    `hidden` is one that is made of a secure parameter.
    """

    uri: str
    query: str = ""
    version: str | None = None
    hidden: bool = False

    @property
    def address(self) -> str:
        """What is asked for."""
        if not self.query:
            return self.uri
        return f"{self.uri}{'&' if urlsplit(self.uri).query else '?'}{self.query}"

    @property
    def place(self) -> str:
        """The URI as it may be shown: a query may hold a key, and what stands before '@' a password."""
        parts = urlsplit(self.uri)
        host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return f"{host}/{SHOWN_INSTEAD}" if self.hidden else f"{host}{parts.path}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the link may be a key."""
        parts = urlsplit(self.uri)
        # The folder too: what lies beside the document is linked to by it.
        paths = (parts.path, parts.path.rpartition("/")[0]) if self.hidden else ()
        found = (self.query, parts.query, parts.netloc.rpartition("@")[0], *paths)
        return tuple(one for one in found if one)

    @property
    def shown(self) -> dict[str, str]:
        """The link as a deployment shows it."""
        return {"uri": self.place} | ({} if self.version is None or self.hidden else {"contentVersion": self.version})

    def beside(self, path: str, version: str | None) -> Link | None:
        """The link to a path relative to this one, None where it is none."""
        try:
            parts = urlsplit(path)
        except ValueError:
            return None
        if not path or parts.scheme or parts.netloc or path.startswith("/"):
            return None
        found = link_to(urljoin(self.uri.partition("?")[0], path), self.query, version)
        return None if found is None else replace(found, hidden=self.hidden)


def link_to(uri: Any, query: Any, version: Any) -> Link | None:
    """The link to an absolute URI of http or https, None where it is none."""
    texts = uri, query or "", version or ""
    if not all(isinstance(one, str) and len(one) <= _LONGEST for one in texts):
        return None
    try:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
    except ValueError:
        return None
    return Link(uri.partition("#")[0], (query or "").lstrip("?"), version or None)


class NotFetched(Exception):
    """A document is wanted that nobody has fetched yet."""


class Documents:
    """What a deployment and those inside it link to: asked for in planning, fetched between two plans."""

    def __init__(self, outbound: Callable[[], Outbound], limits: Limits, clock: Clock) -> None:
        self._outbound = outbound
        self._limits = limits
        self._clock = clock
        self._known: dict[str, dict[str, Any]] = {}
        self._missing: dict[str, Link] = {}
        self._seconds = float(limits["arm.link_seconds"])
        self._bytes = limits["arm.link_bytes"]

    def get(self, link: Link, where: str) -> dict[str, Any]:
        """The document behind a link; raises `NotFetched`, which notes that it is wanted, and `InvalidContentLink`."""
        found = self._known.get(link.address)
        if found is None:
            self._missing[link.address] = link
            raise NotFetched
        if link.version is not None and found.get("contentVersion") != link.version:
            version = SHOWN_INSTEAD if link.hidden else link.version
            message = f"The content at '{link.place}' does not have the content version '{version}'"
            raise InvalidContentLink(f"{message} that the link at {where} asks for.", target=where)
        return found

    async def fetch(self) -> bool:
        """Fetch what is wanted; False where nothing is. Raises `InvalidContentLink`."""
        # None stays wanted where one of them cannot be had: that is the failure of who asks for it only.
        wanted, self._missing = list(self._missing.values()), {}
        if not wanted:
            return False
        most = self._limits["arm.template_links"]
        if len(self._known) + len(wanted) > most:
            raise InvalidContentLink(f"The deployment links to more than {most} documents.")
        gate, began = asyncio.Semaphore(_AT_ONCE), self._clock.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for link in wanted:
                    group.create_task(self._fetch(link, gate, began + self._seconds))
        except ExceptionGroup as failed:
            raise _first(failed) from None
        finally:
            self._seconds -= self._clock.monotonic() - began
        return True

    async def _fetch(self, link: Link, gate: asyncio.Semaphore, deadline: float) -> None:
        async with gate:
            try:
                answer = await self._outbound().request(
                    "GET",
                    link.address,
                    headers=[("Accept", "application/json")],
                    timeout=max(deadline - self._clock.monotonic(), 0.001),
                    longest=max(min(self._bytes, self._limits["arm.request_bytes"]), 1),
                    routed=False,
                )
            except OutboundUnreadable:
                raise _unable(link, "What it answered is not understood.") from None
            except OutboundError as error:
                raise _unable(link, f"{error}.") from None
        if 300 <= answer.status < 400:
            raise _unable(link, f"It answered {answer.status}, a redirect, which is not followed.")
        if answer.status != 200:
            raise _unable(link, f"It answered {answer.status}.")
        self._bytes -= len(answer.body)
        if self._bytes < 0:
            raise InvalidContentLink(
                f"The deployment links to more than {self._limits['arm.link_bytes']} bytes in all."
            )
        try:
            # In a thread: 4 MB take a while, and other requests are answered meanwhile.
            found = await asyncio.to_thread(parse_json5, answer.body, self._limits["arm.json_depth"])
        except InvalidRequestContent:
            raise _unable(link, "What is there is no JSON object.") from None
        self._known[link.address] = found


def parameters_of(document: dict[str, Any], where: str) -> dict[str, Any]:
    """The parameters that a file of them holds; raises `InvalidContentLink`."""
    found = document.get("parameters")
    if not isinstance(found, dict):
        raise InvalidContentLink(f"What the link at {where} leads to has no 'parameters', an object.", target=where)
    return found


def _first(failed: ExceptionGroup[Exception]) -> Exception:
    error = failed.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _unable(link: Link, reason: str) -> InvalidContentLink:
    text = reason
    for secret in link.secrets:
        text = text.replace(secret, SHOWN_INSTEAD)
    return InvalidContentLink(
        f"Unable to download deployment content from '{link.place[:300]}'. {text} "
        "Please see https://aka.ms/arm-deploy for usage details."
    )
