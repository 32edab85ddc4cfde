"""Microsoft.OperationalInsights/workspaces, their tables and saved searches.

Source: contract section E.7, https://learn.microsoft.com/azure/templates/microsoft.operationalinsights/workspaces and
https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table (names, types, reserved columns).
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.kql import TYPE_NAMES, Column, KqlType
from lurewire.schemas import CUSTOM_SUFFIX, RESOURCE, builtin_names, builtin_schema, shows_resource
from lurewire.workspace.catalog import LEADING, TIME, TRAILING, SchemaConflict
from lurewire.workspace.errors import InvalidParameter, ReservedTable
from lurewire.workspace.policies import DEFAULT_DAYS, TablePolicy, WorkspacePolicy
from lurewire.workspace.saved_searches import saved_searches

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.workspace.service import Workspaces

WORKSPACE = "Microsoft.OperationalInsights/workspaces"
TABLE = f"{WORKSPACE}/tables"

_WORKSPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]")
_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}_CL")
_COLUMN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,44}")
_RESERVED = frozenset(("_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"))
_MOST_COLUMNS = 500
_COLUMN_TYPES = {"string", "int", "long", "real", "boolean", "bool", "datetime", "guid", "dynamic"}
_SHOWN_TYPES = {KqlType.DATETIME: "dateTime", KqlType.BOOL: "boolean"}
_PLANS = ("Analytics",)
_LEAST_DAYS = 4
_MOST_PLAIN_DAYS = 730
_LONG_DAYS = (1095, 1460, 1826, 2191, 2556, 2922, 3288, 3653, 4018, 4383)
"""The longer total retentions (https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure)."""
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"
_FEATURES = {"enableLogAccessUsingOnlyResourcePermissions": True, "legacy": 0, "searchVersion": 1}
_SCHEMA_CHANGES = "Table"
_BUILT_IN_ETAG = '"built-in"'
_MISSING: dict[str, Any] = {}


def resource_types(workspaces: Workspaces, clock: Clock) -> tuple[ResourceType, ...]:
    """The resource types of this room; the parent comes first."""
    workspace = _WorkspaceType(workspaces, clock)
    table = _TableType(workspaces, clock)
    return (
        ResourceType(WORKSPACE, workspace.prepare, workspace.applied, workspace.deleted),
        ResourceType(
            TABLE,
            table.prepare,
            table.applied,
            table.deleted,
            built_ins=_BuiltInTables(workspaces),
            current=table.current,
        ),
        saved_searches(workspaces),
    )


class _WorkspaceType:
    def __init__(self, workspaces: Workspaces, clock: Clock) -> None:
        self._workspaces = workspaces
        self._clock = clock

    async def prepare(self, change: Change) -> dict[str, Any]:
        if not _WORKSPACE_NAME.fullmatch(change.id.name):
            message = "a workspace's name has 4 to 63 letters, digits and hyphens, with none of these at its ends"
            raise InvalidParameter(f"'{change.id.name[:80]}': {message}")
        given = {name: value for name, value in _properties(change.body).items() if value is not None}
        retention = given.get("retentionInDays", DEFAULT_DAYS)
        if isinstance(retention, bool) or not isinstance(retention, int) or not 7 <= retention <= 730:
            raise InvalidParameter("properties.retentionInDays is a number of days from 7 to 730")
        now = self._clock.now().strftime(_MOMENT)
        old = _properties(change.existing or _MISSING)
        properties: dict[str, Any] = {
            "sku": {"name": "PerGB2018"},
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
        }
        properties |= given
        properties |= {
            "features": _FEATURES | _object(given, "features"),
            "workspaceCapping": self._capping(given),
            "customerId": old.get("customerId") or str(uuid.uuid4()),
            "retentionInDays": retention,
            "provisioningState": "Succeeded",
            "createdDate": old.get("createdDate", now),
            "modifiedDate": now,
        }
        return change.body | {"properties": properties}

    def _capping(self, given: dict[str, Any]) -> dict[str, Any]:
        """The daily cap. It is kept and shown, and nothing is refused when it is reached: what is stored stays stored."""
        capping = _object(given, "workspaceCapping")
        quota = capping.get("dailyQuotaGb", -1)
        if isinstance(quota, bool) or not isinstance(quota, int | float) or not (quota == -1 or quota > 0):
            raise InvalidParameter(
                "properties.workspaceCapping.dailyQuotaGb is a number of gigabytes above 0, or -1 for no cap"
            )
        tomorrow = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return {
            "dailyQuotaGb": float(quota),
            "quotaNextResetTime": tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "dataIngestionStatus": "RespectQuota",
        }

    async def applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        workspace = await self._workspaces.open(resource_id, body["properties"]["customerId"])
        workspace.policy = WorkspacePolicy.of(body)

    async def deleted(self, resource_id: ResourceId) -> None:
        await self._workspaces.delete(resource_id)


class _TableType:
    def __init__(self, workspaces: Workspaces, clock: Clock) -> None:
        self._workspaces = workspaces
        self._clock = clock

    async def prepare(self, change: Change) -> dict[str, Any]:
        name = change.id.name
        given = _properties(change.body)
        plan = given.get("plan", _PLANS[0])
        if plan not in _PLANS:
            raise InvalidParameter(f"properties.plan '{str(plan)[:40]}' is not supported here: use {_PLANS[0]}")
        retention = _days(change, given, "retentionInDays", 730)
        total = _days(change, given, "totalRetentionInDays", 4383, echoed=True)
        if total > _MOST_PLAIN_DAYS and total not in _LONG_DAYS:
            raise InvalidParameter(f"properties.totalRetentionInDays above {_MOST_PLAIN_DAYS} is one of {_LONG_DAYS}")
        builtin = builtin_schema(name)
        columns = self._declared(change, given) if builtin is None else self._unchanged(name, given)
        workspace = self._workspaces.by_id(change.id.parent or change.id)
        if workspace is not None and builtin is None and any(t.name == name for t in workspace.tables.stored()):
            try:
                workspace.tables.plan_columns(name, columns)
            except SchemaConflict as error:
                raise InvalidParameter(f"properties.schema.columns: {error}") from None
        default = DEFAULT_DAYS if workspace is None else workspace.policy.days
        days = default if retention == -1 else retention
        if -1 < total < days:
            raise InvalidParameter(f"properties.totalRetentionInDays {total} is less than retentionInDays {days}")
        shown = _properties(change.existing or _MISSING)
        planned = shown.get("lastPlanModifiedDate", self._clock.now().strftime(_MOMENT))
        properties = {"plan": plan, "lastPlanModifiedDate": planned}
        properties |= _retention(retention, total, default) | {"provisioningState": "Succeeded"}
        properties["schema"] = _schema(name, columns, given, custom=builtin is None)
        return change.body | {"properties": properties}

    def current(self, body: dict[str, Any]) -> dict[str, Any]:
        """A stored body with the retention that the workspace decides, as it is now."""
        workspace = self._workspaces.by_id(ResourceId.parse(body["id"]).parent or body["id"])
        if workspace is None:
            return body
        policy = TablePolicy.of(body)
        days, total = (-1 if one is None else one for one in (policy.days, policy.total_days))
        return body | {"properties": body["properties"] | _retention(days, total, workspace.policy.days)}

    async def applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        workspace = self._workspaces.by_id(resource_id.parent or resource_id)
        if workspace is None:
            raise LookupError(f"the workspace of {resource_id} is not open")
        name = resource_id.name
        workspace.table_policies[name] = TablePolicy.of(body)
        if builtin_schema(name) is not None:
            workspace.tables.find(name)
            return
        columns = [Column(c["name"], _kql_type(c["type"])) for c in body["properties"]["schema"]["columns"]]
        before = workspace.tables.existing(name)
        after = await workspace.create_table(name, columns)
        if after != before:
            what = f"created with {len(columns)} columns" if before is None else f"changed to {len(columns)} columns"
            await workspace.note(_SCHEMA_CHANGES, "Succeeded", f"The table {name} was {what}.")

    async def deleted(self, resource_id: ResourceId) -> None:
        workspace = self._workspaces.by_id(resource_id.parent or resource_id)
        if workspace is None:
            return
        name = resource_id.name
        workspace.table_policies.pop(name, None)
        if builtin_schema(name) is not None:
            return  # a table of Azure cannot be deleted: what was set for it goes back to the defaults
        if workspace.tables.existing(name) is not None:
            await workspace.drop_table(name)
            await workspace.note(_SCHEMA_CHANGES, "Succeeded", f"The table {name} was deleted with its rows.")

    @staticmethod
    def _declared(change: Change, given: dict[str, Any]) -> list[Column]:
        """The columns that a custom table's body declares, or those it has already where it declares none."""
        name = change.id.name
        if not _TABLE_NAME.fullmatch(name):
            message = f"a custom table's name starts with a letter, has letters, digits and '_', and ends with {CUSTOM_SUFFIX}"
            raise InvalidParameter(f"'{name[:80]}': {message}, 63 characters at most")
        schema = given.get("schema")
        if schema is None and change.existing is not None:
            schema = change.existing["properties"]["schema"]
        if not isinstance(schema, dict) or not isinstance(schema.get("columns"), list):
            raise InvalidParameter("properties.schema.columns is required: the list of the table's columns")
        if schema.get("name", name) != name:
            raise InvalidParameter(
                f"properties.schema.name '{str(schema['name'])[:80]}' is not the table's name '{name}'"
            )
        if len(schema["columns"]) > _MOST_COLUMNS:
            raise InvalidParameter(f"properties.schema.columns: a table has at most {_MOST_COLUMNS} columns")
        columns = [_column(i, column) for i, column in enumerate(schema["columns"])]
        names = [column.name for column in columns]
        double = next((n for i, n in enumerate(names) if n in names[:i]), None)
        if double is not None:
            raise InvalidParameter(f"properties.schema.columns: '{double}' is declared twice")
        time = next((column for column in columns if column.name == TIME), None)
        if time is None or time.type is not KqlType.DATETIME:
            raise InvalidParameter(f"properties.schema.columns must declare '{TIME}' with type datetime")
        return columns

    @staticmethod
    def _unchanged(name: str, given: dict[str, Any]) -> list[Column]:
        """The columns of a table of Azure's own; only its plan and retention may be set."""
        schema = given.get("schema")
        known = {TIME: KqlType.DATETIME} | {c.name: c.type for c in builtin_schema(name) or ()}
        asked = schema.get("columns") or [] if isinstance(schema, dict) else []
        for i, entry in enumerate(asked):
            column = _named(i, entry)
            if known.get(column.name) is not column.type:
                raise ReservedTable(
                    f"'{name}' is a table of Azure: it has no column '{column.name}' of type {column.type}"
                )
        return [Column(n, t) for n, t in known.items()]


class _BuiltInTables:
    """Azure's own tables: each can be read and changed; lists show those that something has named here."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._names = {name.lower(): name for name in builtin_names()}

    def get(self, resource_id: ResourceId) -> dict[str, Any] | None:
        parent, name = resource_id.parent, self._names.get(resource_id.name.lower())
        workspace = None if parent is None else self._workspaces.by_id(parent)
        if workspace is None or name is None:
            return None
        columns = [Column(TIME, KqlType.DATETIME), *(builtin_schema(name) or ())]
        properties = {"plan": _PLANS[0]} | _retention(-1, -1, workspace.policy.days)
        properties |= {"provisioningState": "Succeeded", "schema": _schema(name, columns, {}, custom=False)}
        own = ResourceId.parse(workspace.resource_id).child("tables", name)
        return {"id": str(own), "name": name, "type": TABLE, "etag": _BUILT_IN_ETAG, "properties": properties}

    def list(self, parent: ResourceId) -> list[dict[str, Any]]:
        workspace = self._workspaces.by_id(parent)
        if workspace is None:
            return []
        named = (self.get(parent.child("tables", table.name)) for table in workspace.tables.stored())
        return [body for body in named if body is not None]


def _properties(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("properties", {})
    if not isinstance(given, dict):
        raise InvalidParameter("properties is an object")
    return given


def _object(given: dict[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name, {})
    if not isinstance(value, dict):
        raise InvalidParameter(f"properties.{name} is an object")
    return value


def _days(change: Change, given: dict[str, Any], name: str, most: int, *, echoed: bool = False) -> int:
    """A number of days, -1 for the default: also where a client sends back the default that it was shown.

    The mark beside it says so; az sends some back without one (`echoed`) whatever it changes.
    """
    value, mark = given.get(name, -1), f"{name}AsDefault"
    shown = _properties(change.existing or _MISSING)
    default = shown.get(name) if shown.get(mark) is True else None
    if value is None or (value == default and given.get(mark, echoed) is True):
        return -1
    if isinstance(value, bool) or not isinstance(value, int) or (value != -1 and not _LEAST_DAYS <= value <= most):
        rule = f"a number of days from {_LEAST_DAYS} to {most}, or -1 for the default"
        raise InvalidParameter(f"properties.{name} is {rule}")
    return value


def _retention(retention: int, total: int, default: int) -> dict[str, Any]:
    """The properties of a table's retention; -1 stands for the default. Rows are never gone before their retention is over."""
    days = default if retention == -1 else retention
    total_days = max(days, total)
    return {
        "retentionInDays": days,
        "totalRetentionInDays": total_days,
        "archiveRetentionInDays": total_days - days,
        "retentionInDaysAsDefault": retention == -1,
        "totalRetentionInDaysAsDefault": total == -1,
    }


def _named(index: int, entry: Any) -> Column:
    place = f"properties.schema.columns[{index}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not isinstance(entry.get("type"), str):
        raise InvalidParameter(f"{place} is an object with a name and a type")
    if entry["type"].lower() not in _COLUMN_TYPES:
        raise InvalidParameter(f"{place}: '{entry['type'][:40]}' is no type of a column")
    return Column(entry["name"], _kql_type(entry["type"]))


def _column(index: int, entry: Any) -> Column:
    column = _named(index, entry)
    place = f"properties.schema.columns[{index}]"
    if not _COLUMN_NAME.fullmatch(column.name):
        rule = "a column's name starts with a letter and has at most 45 letters, digits and '_'"
        raise InvalidParameter(f"{place}: '{column.name[:80]}': {rule}")
    if column.name in _RESERVED:
        raise InvalidParameter(f"{place}: '{column.name}' is reserved")
    return column


def _kql_type(name: str) -> KqlType:
    return TYPE_NAMES[name.lower()]


def _schema(name: str, columns: list[Column], given: dict[str, Any], *, custom: bool) -> dict[str, Any]:
    declared = given.get("schema")
    kept = (
        {k: v for k, v in declared.items() if k in ("displayName", "description")} if isinstance(declared, dict) else {}
    )
    own = [column for column in columns if custom or column.name not in LEADING]
    standard = [Column(n, KqlType.DATETIME if n == TIME else KqlType.STRING) for n in (*LEADING, *TRAILING)]
    azure = [] if custom else own
    hidden = ("TenantId",) if shows_resource(name) else ("TenantId", RESOURCE.name)
    return kept | {
        "name": name,
        "columns": [_shown(column) for column in own] if custom else [],
        "standardColumns": [
            _shown(c) | {"isDefaultDisplay": c.name == TIME or c in azure, "isHidden": c.name in hidden}
            for c in [*standard, *azure]
        ],
        "tableType": "CustomLog" if custom else "Microsoft",
        "tableSubType": "DataCollectionRuleBased" if custom else "Any",
        "source": "customer" if custom else "microsoft",
        "labels": [],
        "categories": [],
        "solutions": ["LogManagement"],
    }


def _shown(column: Column) -> dict[str, Any]:
    return {"name": column.name, "type": _SHOWN_TYPES.get(column.type, str(column.type))}
