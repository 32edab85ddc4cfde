"""Data collection rules, read from their ARM bodies and judged as Azure judges them.

Source: https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure and contract section
E.6, whose codes are used: InvalidStream, InvalidOutputTable, InvalidDataFlow, InvalidTransformQuery,
InvalidTransformOutput, InvalidDestination.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.kql import TYPE_NAMES, Column
from lurewire.workspace import builtin_schema

if TYPE_CHECKING:
    from lurewire.core.limits import Limits

CUSTOM = "Custom-"
MICROSOFT = "Microsoft-"

_STREAM_TYPES = frozenset(("string", "int", "long", "real", "boolean", "datetime", "dynamic"))
_COLUMN_NAME = re.compile(r'[^"\\]{1,128}')
_MOST_COLUMNS = 500
_DESTINATION = "logAnalytics"


@dataclass(frozen=True, slots=True)
class Flow:
    """One way of one stream: through `transform` into `table` of the workspaces behind `destinations`."""

    index: int
    stream: str
    columns: tuple[Column, ...]
    transform: str
    output_stream: str
    table: str
    destinations: tuple[str, ...]


@dataclass(slots=True)
class RuleModel:
    """What a rule says; `problems` are the details of its refusal."""

    kind: str
    endpoint_id: str | None
    streams: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    destinations: dict[str, str] = field(default_factory=dict)
    flows: list[Flow] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, code: str, message: str, target: str) -> None:
        """Note a problem."""
        self.problems.append({"code": code, "message": message, "target": target})


def read_rule(body: dict[str, Any], limits: Limits) -> RuleModel:
    """The rule of an ARM body, with all that is wrong with its form."""
    given = body.get("properties")
    properties = given if isinstance(given, dict) else {}
    endpoint = properties.get("dataCollectionEndpointId")
    rule = RuleModel(str(body.get("kind") or ""), endpoint if isinstance(endpoint, str) else None)
    if not isinstance(given, dict):
        rule.refuse("InvalidProperties", "'properties' is required and is an object.", "properties")
    _read_streams(rule, properties.get("streamDeclarations"))
    _read_destinations(rule, properties.get("destinations"))
    _read_flows(rule, properties.get("dataFlows"), limits)
    return rule


def _read_streams(rule: RuleModel, given: Any) -> None:
    target = "properties.streamDeclarations"
    if not isinstance(given or {}, dict):
        rule.refuse("InvalidStream", "'streamDeclarations' is an object.", target)
        return
    for name, declaration in (given or {}).items():
        place = f"{target}['{name[:80]}']"
        columns = declaration.get("columns") if isinstance(declaration, dict) else None
        if not name.startswith(CUSTOM) or len(name) == len(CUSTOM):
            rule.refuse("InvalidStream", f"The name of a declared stream starts with '{CUSTOM}'.", place)
        elif not isinstance(columns, list) or not 0 < len(columns) <= _MOST_COLUMNS:
            rule.refuse("InvalidStream", f"'columns' is a list of 1 to {_MOST_COLUMNS} columns.", place)
        else:
            rule.streams[name] = tuple(_read_columns(rule, columns, place))


def _read_columns(rule: RuleModel, given: list[Any], place: str) -> list[Column]:
    columns: dict[str, Column] = {}
    for i, entry in enumerate(given):
        where = f"{place}.columns[{i}]"
        name, kind = (entry.get("name"), entry.get("type")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not _COLUMN_NAME.fullmatch(name) or not name.isprintable():
            message = "A column's name has 1 to 128 printable characters, without double quotes and backslashes."
            rule.refuse("InvalidStream", message, where)
        elif not isinstance(kind, str) or kind.lower() not in _STREAM_TYPES:
            types = ", ".join(sorted(_STREAM_TYPES))
            rule.refuse("InvalidStream", f"'{str(kind)[:40]}' is no type of a stream's column: {types}.", where)
        elif name in columns:
            rule.refuse("InvalidStream", f"The column '{name}' is declared twice.", where)
        else:
            columns[name] = Column(name, TYPE_NAMES[kind.lower()])
    return list(columns.values())


def _read_destinations(rule: RuleModel, given: Any) -> None:
    target = "properties.destinations"
    if not isinstance(given, dict) or not given:
        rule.refuse("InvalidDestination", f"'destinations' names at least one workspace in '{_DESTINATION}'.", target)
        return
    for kind, entries in given.items():
        if kind != _DESTINATION:
            if entries:
                rule.refuse("InvalidDestination", f"Destinations of kind '{kind[:40]}' are not supported.", target)
            continue
        for i, entry in enumerate(entries if isinstance(entries, list) else [None]):
            place = f"{target}.{_DESTINATION}[{i}]"
            name = entry.get("name") if isinstance(entry, dict) else None
            workspace = entry.get("workspaceResourceId") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not isinstance(workspace, str):
                rule.refuse("InvalidDestination", "A destination has a 'name' and a 'workspaceResourceId'.", place)
            elif name in rule.destinations:
                rule.refuse("InvalidDestination", f"The name '{name[:80]}' is used twice.", place)
            else:
                rule.destinations[name] = workspace


def _read_flows(rule: RuleModel, given: Any, limits: Limits) -> None:
    target = "properties.dataFlows"
    if not isinstance(given, list) or not 0 < len(given) <= limits["ingestion.flows"]:
        rule.refuse("InvalidDataFlow", f"'dataFlows' is a list of 1 to {limits['ingestion.flows']} flows.", target)
        return
    for index, flow in enumerate(given):
        place = f"{target}[{index}]"
        if not isinstance(flow, dict):
            rule.refuse("InvalidDataFlow", "A flow is an object.", place)
            continue
        streams, destinations = (_texts(flow.get(key)) for key in ("streams", "destinations"))
        if not streams or len(streams) > limits["ingestion.streams_per_flow"]:
            most = limits["ingestion.streams_per_flow"]
            rule.refuse("InvalidDataFlow", f"'streams' is a list of 1 to {most} streams.", place)
        unknown = next((name for name in destinations if name not in rule.destinations), None)
        if not destinations or unknown is not None:
            message = "'destinations' names destinations of the rule" + (f", not '{unknown[:80]}'." if unknown else ".")
            rule.refuse("InvalidDestination", message, place)
        _check_texts(rule, flow, limits, place)
        for stream in streams:
            _read_flow(rule, index, stream, flow, tuple(destinations))


def _check_texts(rule: RuleModel, flow: dict[str, Any], limits: Limits, place: str) -> None:
    for key in ("transformKql", "outputStream"):
        if not isinstance(flow.get(key) or "", str):
            rule.refuse("InvalidDataFlow", f"'{key}' is text.", place)
    most = limits["ingestion.transform_characters"]
    if len(str(flow.get("transformKql") or "")) > most:
        rule.refuse("InvalidTransformQuery", f"'transformKql' has at most {most} characters.", f"{place}.transformKql")
    if flow.get("builtInTransform"):
        rule.refuse("InvalidDataFlow", "'builtInTransform' is not supported.", place)


def _read_flow(rule: RuleModel, index: int, stream: str, flow: dict[str, Any], destinations: tuple[str, ...]) -> None:
    place = f"properties.dataFlows[{index}]"
    columns = _columns_of(rule, stream)
    if columns is None:
        message = f"The stream '{stream[:80]}' is not declared, and is no stream of a table of Azure."
        rule.refuse("InvalidStream", message, f"{place}.streams")
        return
    output = str(flow.get("outputStream") or stream)
    prefix = next((p for p in (CUSTOM, MICROSOFT) if output.startswith(p)), None)
    if prefix is None:
        message = f"'{output[:80]}' is no output stream: it starts with '{CUSTOM}' or '{MICROSOFT}'."
        rule.refuse("InvalidOutputTable", message, f"{place}.outputStream")
        return
    table = output.removeprefix(prefix)
    transform = str(flow.get("transformKql") or "source")
    rule.flows.append(Flow(index, stream, columns, transform, output, table, destinations))


def _columns_of(rule: RuleModel, stream: str) -> tuple[Column, ...] | None:
    """The declared columns; for a stream of Azure's own, those of its table."""
    if stream in rule.streams:
        return rule.streams[stream]
    schema = builtin_schema(stream.removeprefix(MICROSOFT)) if stream.startswith(MICROSOFT) else None
    if schema is None:
        return None
    return (Column("TimeGenerated", TYPE_NAMES["datetime"]), *schema)


def _texts(given: Any) -> list[str]:
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
