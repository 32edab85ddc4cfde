"""The resource store: every ARM resource as the JSON that Azure would return, one table for all types."""

from __future__ import annotations

import asyncio
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.arm.builtin import builtin_types
from lurewire.arm.errors import (
    Conflict,
    InvalidRequestContent,
    InvalidResourceName,
    InvalidTags,
    ParentResourceNotFound,
    PreconditionFailed,
    ResourceGroupNotFound,
    ResourceNotFound,
    SubscriptionNotFound,
)
from lurewire.arm.hidden import put_back, take_out
from lurewire.arm.identities import settle
from lurewire.arm.inert import inert_type, is_inert
from lurewire.arm.limits import LIMITS
from lurewire.arm.locks import LOCKS, check_locks
from lurewire.arm.registration import Registrations
from lurewire.arm.tables import resources
from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.expressions import pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lurewire.arm.identities import ManagedIdentities
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.principal import Principal
    from lurewire.core.secretbox import SecretBox

Bodies = list[dict[str, Any]]
Taken = list[tuple[list[str | int], Any]]
"""Values that are hidden in a body, with their paths."""

_log = get_logger("arm")

_NOT_IN_NAMES = "<>%&?#\\"
_NAME = re.compile(rf"[^{re.escape(_NOT_IN_NAMES)}\x00-\x1f\x7f]{{1,260}}")

_SUBSCRIPTIONS = "microsoft.resources/subscriptions"
_GROUPS = "microsoft.resources/resourcegroups"


@dataclass(frozen=True, slots=True)
class Stored:
    """The outcome of a PUT: the whole body, and whether the resource is new."""

    body: dict[str, Any]
    created: bool


class ResourceStore:
    """Implements `lurewire.core.resources.Resources`; `start` comes after all rooms have registered their types.

    Errors of `put` and `delete` are the `ArmError`s of `errors`, and those that a type's `prepare` raises.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        secret_box: SecretBox,
        *,
        subscription_id: str,
        identities: ManagedIdentities,
        register_first: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.subscription_id = subscription_id
        self.registrations = Registrations(db, register_first=register_first)
        self._limits = limits or Limits(LIMITS)
        self._db = db
        self._clock = clock
        self.box = secret_box
        self._identities = identities
        self._types: dict[str, ResourceType] = {one.type.lower(): one for one in builtin_types(clock)}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def register(self, *types: ResourceType) -> None:
        """Make resource types known; the last one of a name stands."""
        for one in types:
            self._types[one.type.lower()] = one

    @property
    def types(self) -> tuple[ResourceType, ...]:
        """The registered types."""
        return tuple(self._types.values())

    def acts_on(self, resource_id: ResourceId) -> bool:
        """Whether anything here acts on resources of this one's type; others are stored as they are."""
        known = self._types.get(resource_id.type.lower())
        return known is not None and not is_inert(known)

    def warnings(self, resource_id: ResourceId, body: dict[str, Any]) -> Sequence[tuple[str, str]]:
        """What of a body is taken and will not work here: codes and messages."""
        known = self._types.get(resource_id.type.lower())
        return () if known is None else known.warnings(body)

    async def start(self) -> None:
        """Have every stored resource applied, in the order in which they were created."""
        query = sa.select(resources.c.body, resources.c.hidden).order_by(resources.c.seq)
        for row in self._db.read(lambda conn: conn.execute(query).all()):
            body = self._whole(row)
            resource_id = ResourceId.parse(body["id"])
            try:
                await self._type(resource_id).applied(resource_id, body)
            except Exception as error:  # noqa: BLE001 - one resource that cannot work must not keep all others down
                _log.error("stored resource cannot be applied", id=body["id"], exc_info=error)

    def get(self, resource_id: ResourceId) -> dict[str, Any] | None:
        """The stored body with its hidden values, or None."""
        row = self._row(resource_id)
        found = None if row is None else self._current(self._whole(row))
        return self._built_in(resource_id) if found is None else found

    def shown(self, resource_id: ResourceId) -> dict[str, Any] | None:
        """The stored body as a GET answers it, without hidden values, or None."""
        row = self._row(resource_id)
        found = None if row is None else self._current(msgspec.json.decode(row.body))
        return self._built_in(resource_id) if found is None else found

    def list(self, resource_type: str) -> Bodies:
        """All stored bodies of a type, with their hidden values, oldest first."""
        return self._all_current(self._whole(row) for row in self._rows(resource_type))

    def list_shown(self, resource_type: str, scope: str) -> Bodies:
        """The bodies of a type at and below `scope`, as a GET answers them, oldest first."""
        inside = scope.lower().rstrip("/") + "/"
        rows = [row for row in self._rows(resource_type) if row.key.startswith(inside)]
        found = self._all_current(msgspec.json.decode(row.body) for row in rows)
        kind, stored = self._types.get(resource_type.lower()), {row.key for row in rows}
        if kind is None or kind.built_ins is None:
            return found
        return found + [one for one in kind.built_ins.list(ResourceId.parse(scope)) if one["id"].lower() not in stored]

    def _current(self, body: dict[str, Any]) -> dict[str, Any] | None:
        kind = self._types.get(body["type"].lower())
        return body if kind is None else kind.current(body)

    def _all_current(self, bodies: Iterable[dict[str, Any]]) -> Bodies:
        return [body for body in map(self._current, bodies) if body is not None]

    def _built_in(self, resource_id: ResourceId) -> dict[str, Any] | None:
        kind = self._types.get(resource_id.type.lower())
        return None if kind is None or kind.built_ins is None else kind.built_ins.get(resource_id)

    def everything(self, scope: str) -> Bodies:
        """The bodies of all types at and below `scope`, as a GET answers them, oldest first."""
        inside = scope.lower().rstrip("/") + "/"
        query = sa.select(resources.c.body).where(sa.func.substr(resources.c.key, 1, len(inside)) == inside)
        query = query.order_by(resources.c.seq)
        bodies = self._db.read(lambda conn: conn.execute(query).scalars().all())
        return self._all_current(msgspec.json.decode(body) for body in bodies)

    async def prepared(
        self, resource_id: ResourceId, body: dict[str, Any], principal: Principal | None
    ) -> dict[str, Any]:
        """What `put` would store of a body, without storing it; raises what the type raises."""
        kind = self._type(resource_id)
        self._check_common(resource_id, body)
        return await kind.prepare(Change(resource_id, body, self.get(resource_id), principal))

    def masked(
        self, resource_id: ResourceId, body: dict[str, Any], mask: Callable[[Any], Any], places: Iterable[str] = ()
    ) -> dict[str, Any]:
        """`body` with its secrets masked: those of the type, at `places` and where the stored resource has some."""
        pointers = (_pointer(path) for path, _ in self._taken(self._row(resource_id)))
        rest, taken = take_out(body, (*self._type(resource_id).hidden, *places, *pointers))
        return put_back(rest, [(path, mask(value)) for path, value in taken])

    def _still_secret(self, resource_id: ResourceId, body: dict[str, Any]) -> Sequence[str]:
        """Where `body` has a value that the stored resource hides there: a change of the rest does not show it."""
        known = {_pointer(path): value for path, value in self._taken(self._row(resource_id))}
        there = ((_pointer(path), value) for path, value in take_out(body, known)[1])
        return [pointer for pointer, value in there if pointer in known and known[pointer] == value]

    def _taken(self, row: Any) -> Taken:
        if row is None or row.hidden is None:
            return []
        return msgspec.json.decode(self.box.decrypt(row.hidden), type=Taken)

    async def put(
        self, resource_id: ResourceId, body: dict[str, Any], principal: Principal | None = None, *, assigns: bool = True
    ) -> dict[str, Any]:
        """Validate, store and apply; returns the stored body. `assigns` is that of `change`."""
        return (await self.change(resource_id, body, principal, assigns=assigns)).body

    async def change(
        self,
        resource_id: ResourceId,
        body: dict[str, Any],
        principal: Principal | None = None,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        hidden: Iterable[str] = (),
        assigns: bool = True,
    ) -> Stored:
        """`put`, with the conditions of a request; `hidden` are pointers to secrets beside those of the type.

        `assigns` is whether the request itself names the identities of the body, and so takes the right to them.
        """
        async with self._lock(resource_id):
            existing = self.get(resource_id)
            _check_conditions(existing, if_match, if_none_match)
            self.check_parent(resource_id)
            if principal is not None:  # the platform itself is held by no lock
                check_locks(self.list(LOCKS), resource_id, deletes=False)
            kind = self._type(resource_id)
            self._check_common(resource_id, body)
            if existing is not None:
                resource_id = ResourceId.parse(existing["id"])  # the first PUT's casing stands
                if body.get("etag") not in (None, "*", existing["etag"]):
                    raise Conflict(f"The etag of '{resource_id}' is not the one that the request was made for.")
            change = Change(resource_id, body, existing, principal)
            prepared = await kind.prepare(change)
            whole = prepared | {
                "id": str(resource_id),
                "name": resource_id.name,
                "type": kind.type,
                "etag": f'"{uuid.uuid4()}"',
                "systemData": self._system_data(existing, principal),
            }
            await settle(self._identities, resource_id, whole, existing, principal if assigns else None)
            await self._write(change, kind, whole, (*hidden, *self._still_secret(resource_id, whole)))
            await kind.applied(resource_id, whole)
            return Stored(whole, existing is None)

    async def delete(self, resource_id: ResourceId, *, if_match: str | None = None) -> bool:
        """Delete a resource with all that stands in it or on it; False where there was none.

        Raises `ScopeLocked`, and `PreconditionFailed` where `if_match` is not its etag.
        """
        if if_match is not None:
            _check_conditions(self.shown(resource_id), if_match, None)
        check_locks(self.list(LOCKS), resource_id, deletes=True)
        # What is put into it while this runs is found by the next look; nothing can be put once its row is gone.
        existed = False
        while True:
            below = self._below(resource_id)
            for key_id in sorted(below, key=lambda one: len(str(one)), reverse=True):
                await self._delete_one(key_id)
            if await self._delete_one(resource_id):
                existed = True
            elif not below:
                return existed

    def check_parent(self, resource_id: ResourceId) -> None:
        """Raise the 404 of the subscription, group, parent or target that is not there."""
        subscription = resource_id.subscription
        if subscription is not None and subscription.lower() != self.subscription_id.lower():
            raise SubscriptionNotFound(subscription)
        parent = resource_id.parent
        if parent is None or parent.type.lower() == _SUBSCRIPTIONS:
            return
        if resource_id.resource_group and self._row(_group_of(resource_id)) is None:
            raise ResourceGroupNotFound(resource_id.resource_group)
        if self._row(parent) is None:
            raise _missing_parent(resource_id, parent)

    def check_exists(self, resource_id: ResourceId) -> None:
        """Raise the 404 of what is not there: a subscription, a group or a resource."""
        if resource_id.type.lower() == _SUBSCRIPTIONS:
            if resource_id.name.lower() != self.subscription_id.lower():
                raise SubscriptionNotFound(resource_id.name)
            return
        self.check_parent(resource_id)
        if self._row(resource_id) is None:
            if resource_id.type.lower() == _GROUPS:
                raise ResourceGroupNotFound(resource_id.name)
            raise ResourceNotFound(resource_id)

    def _type(self, resource_id: ResourceId) -> ResourceType:
        known = self._types.get(resource_id.type.lower())
        if known is None:
            _log.warning("resource of an unknown type: stored, nothing acts on it", id=str(resource_id))
            return inert_type(resource_id.type)
        return known

    def _check_common(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        if _NAME.fullmatch(resource_id.name) is None:
            message = f"The resource name '{resource_id.name[:260]}' is invalid: it has 1 to 260 characters, none of them {_NOT_IN_NAMES}"
            raise InvalidResourceName(f"{message} or a control character.")
        tags = body.get("tags")
        if tags is None:
            return
        if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
            raise InvalidRequestContent("The request content was invalid: 'tags' must be an object of strings.")
        most, name, value = (self._limits[f"arm.{one}"] for one in ("tags", "tag_name", "tag_value"))
        if len(tags) > most:
            raise InvalidTags(f"There are {len(tags)} tags, more than the limit of {most}.")
        if any(len(key) > name or len(text) > value for key, text in tags.items()):
            raise InvalidTags(f"A tag's name has at most {name} characters and its value at most {value}.")
        if len({key.lower() for key in tags}) != len(tags):
            raise InvalidTags("Two tags have names that differ only in case.")

    async def _write(self, change: Change, kind: ResourceType, body: dict[str, Any], hidden: Iterable[str]) -> None:
        resource_id = change.id
        rest, taken = take_out(body, (*kind.hidden, *hidden))
        try:
            values: dict[str, Any] = {
                "key": resource_id.key,
                "type": kind.type.lower(),
                "body": msgspec.json.encode(rest),
                "hidden": self.box.encrypt(msgspec.json.encode(taken)) if taken else None,
            }
        except (UnicodeEncodeError, OverflowError) as error:
            raise InvalidRequestContent(f"The resource holds a value that JSON cannot carry: {error}.") from None
        upsert = insert(resources).values(values)
        upsert = upsert.on_conflict_do_update(
            index_elements=["key"], set_={name: upsert.excluded[name] for name in ("type", "body", "hidden")}
        )
        parent = resource_id.parent
        stored_parent = (
            None
            if parent is None or parent.type.lower() == _SUBSCRIPTIONS
            else sa.select(resources.c.seq).where(resources.c.key == parent.key)
        )

        def work(conn: sa.Connection) -> None:
            if stored_parent is not None and conn.execute(stored_parent).first() is None:
                raise ParentResourceNotFound(parent or resource_id)  # deleted since `check_parent`
            conn.execute(upsert)
            if kind.single:
                conn.execute(_namesakes(resource_id))
            kind.stored(conn, change)

        await self._db.write(work)

    async def _delete_one(self, resource_id: ResourceId) -> bool:
        async with self._lock(resource_id):
            row = self._row(resource_id)
            if row is None:
                return False
            body = msgspec.json.decode(row.body)
            resource_id = ResourceId.parse(body["id"])
            await self._type(resource_id).deleted(resource_id)
            if body.get("identity"):
                await self._identities.delete_managed_identity(resource_id)
            gone = sa.delete(resources).where(resources.c.key == resource_id.key)
            await self._db.write(lambda conn: conn.execute(gone))
            return True

    def _below(self, resource_id: ResourceId) -> Sequence[ResourceId]:
        inside = resource_id.key + "/"
        query = sa.select(resources.c.body).where(sa.func.substr(resources.c.key, 1, len(inside)) == inside)
        bodies = self._db.read(lambda conn: conn.execute(query).scalars().all())
        return [ResourceId.parse(msgspec.json.decode(body)["id"]) for body in bodies]

    def _row(self, resource_id: ResourceId) -> Any:
        query = sa.select(resources.c.body, resources.c.hidden).where(resources.c.key == resource_id.key)
        return self._db.read(lambda conn: conn.execute(query).one_or_none())

    def _rows(self, resource_type: str) -> Any:
        query = sa.select(resources).where(resources.c.type == resource_type.lower()).order_by(resources.c.seq)
        return self._db.read(lambda conn: conn.execute(query).all())

    def _whole(self, row: Any) -> dict[str, Any]:
        body: dict[str, Any] = msgspec.json.decode(row.body)
        return body if row.hidden is None else put_back(body, msgspec.json.decode(self.box.decrypt(row.hidden)))

    def _system_data(self, existing: dict[str, Any] | None, principal: Principal | None) -> dict[str, Any]:
        now = self._clock.now().isoformat().replace("+00:00", "Z")
        actor = principal.app_id if principal else "Lurewire"
        kind = "ManagedIdentity" if principal and principal.kind == "managed_identity" else "Application"
        old = (existing or {}).get("systemData", {})
        return {
            "createdBy": old.get("createdBy", actor),
            "createdByType": old.get("createdByType", kind),
            "createdAt": old.get("createdAt", now),
            "lastModifiedBy": actor,
            "lastModifiedByType": kind,
            "lastModifiedAt": now,
        }

    def _lock(self, resource_id: ResourceId) -> asyncio.Lock:
        lock = self._locks.get(resource_id.key)
        if lock is None:
            lock = self._locks[resource_id.key] = asyncio.Lock()
        return lock


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{pointer(str(step))}" for step in path)


def _group_of(resource_id: ResourceId) -> ResourceId:
    return ResourceId.parse(f"/subscriptions/{resource_id.subscription}/resourceGroups/{resource_id.resource_group}")


def _namesakes(resource_id: ResourceId) -> sa.Delete:
    """What takes the others of the type and name away."""
    end = f"/{resource_id.name.lower()}"
    same = sa.func.substr(resources.c.key, -len(end)) == end
    return sa.delete(resources).where(
        resources.c.type == resource_id.type.lower(), same, resources.c.key != resource_id.key
    )


def _missing_parent(resource_id: ResourceId, parent: ResourceId) -> ResourceNotFound | ParentResourceNotFound:
    extends = len(resource_id.types) == 1
    return ResourceNotFound(parent) if extends else ParentResourceNotFound(parent)


def _check_conditions(existing: dict[str, Any] | None, if_match: str | None, if_none_match: str | None) -> None:
    if if_none_match is not None and existing is not None:
        raise PreconditionFailed("The condition 'If-None-Match' is not met: the resource exists.")
    if if_match is not None and (existing is None or if_match not in ("*", existing["etag"])):
        raise PreconditionFailed("The condition 'If-Match' is not met: the resource has another etag, or is not there.")
