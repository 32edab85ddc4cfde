"""A query's plan as a tree of text: what it means, before an engine sees it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from . import plan
from .compiler import bind_query
from .encode import json_value
from .types import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .profiles import ProfileName
    from .types import Catalog

_INDENT = "  "
_SHOWN = 20


def explain(text: str, catalog: Catalog, *, profile: ProfileName = "query") -> str:
    """A query's plan: one relation a line and below it what it reads, columns as name#number. Raises KqlError."""
    return "\n".join(_Printer(bind_query(text, catalog, profile=profile)).lines())


class _Printer:
    def __init__(self, bound: plan.BoundQuery) -> None:
        self._bound = bound
        self._names = {column.id: column.name for column in bound.columns}
        self._seen: dict[int, int] = {}
        pending: list[plan.Relation] = [bound.relation]
        visited: set[int] = set()
        while pending:
            relation = pending.pop()
            if id(relation) in visited:
                continue
            visited.add(id(relation))
            if isinstance(relation, plan.Scan):
                named = zip(relation.ids, relation.table.columns, strict=True)
                self._names |= {number: column.name for number, column in named}
            pending.extend(plan.inputs(relation))

    def lines(self) -> Iterator[str]:
        """The result's columns, then the tree."""
        shown = ", ".join(f"{self._column(column.id)}: {column.type}" for column in self._bound.columns[:_SHOWN])
        more = len(self._bound.columns) - _SHOWN
        yield f"Result [{shown}{f', and {more} more' if more > 0 else ''}]"
        yield from self._relation(self._bound.relation, 1)

    def _relation(self, relation: plan.Relation, depth: int) -> Iterator[str]:
        known = self._seen.get(id(relation))
        if known is not None:
            yield f"{_INDENT * depth}(again) @{known}"
            return
        self._seen[id(relation)] = len(self._seen) + 1
        mark = f" @{self._seen[id(relation)]}" if isinstance(relation, plan.Shared) else ""
        details, below = [], []
        for field in dataclasses.fields(relation):
            value = getattr(relation, field.name)
            if isinstance(value, plan.Relation):
                below.append(value)
            elif not (isinstance(relation, plan.Scan) and field.name != "table"):
                details.append(self._detail(field.name, value, below))
        text = " ".join(detail for detail in details if detail)
        yield f"{_INDENT * depth}{type(relation).__name__}{mark}{f' {text}' if text else ''}"
        for one in below:
            yield from self._relation(one, depth + 1)

    def _detail(self, name: str, value: Any, below: list[plan.Relation]) -> str:
        """A field of a node; the relations inside of it are left for the lines below."""
        if isinstance(value, Table):
            return value.name
        if value is None or value is False or value == () or name == "types":
            return ""
        if name in ("ids", "id", "outputs", "left_columns", "right_columns", "groups"):
            numbers = value if isinstance(value, tuple) else (value,)
            numbers = tuple(one[0] if isinstance(one, tuple) else one for one in numbers)
            more = f", and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
            return f"{name}=[{', '.join(self._column(number) for number in numbers[:_SHOWN])}{more}]"
        if name == "rows":
            return f"rows={len(value)}"
        return f"{name}={self._value(value, below)}"

    def _value(self, value: Any, below: list[plan.Relation]) -> str:
        if isinstance(value, plan.Relation):
            below.append(value)
            return f"<{type(value).__name__}>"
        if isinstance(value, plan.Scalar):
            return self._scalar(value, below)
        if isinstance(value, tuple):
            if len(value) == 2 and isinstance(value[0], int) and isinstance(value[1], plan.Scalar | plan.WindowCall):
                return f"{self._column(value[0])} = {self._value(value[1], below)}"
            return f"[{', '.join(self._value(one, below) for one in value)}]"
        if isinstance(value, Table):
            return value.name
        if hasattr(value, "name") and not isinstance(value, plan.Parameter):
            return str(value.name)
        if dataclasses.is_dataclass(value):
            parts = (self._detail(f.name, getattr(value, f.name), below) for f in dataclasses.fields(value))
            return f"{type(value).__name__}({' '.join(part for part in parts if part)})"
        return str(value)

    def _scalar(self, value: plan.Scalar, below: list[plan.Relation]) -> str:
        match value:
            case plan.Constant():
                return _constant(value)
            case plan.ColumnRef():
                return self._column(value.id)
            case plan.Parameter():
                return f"${value.name}"
            case plan.Call():
                return f"{value.function.name}({', '.join(self._value(one, below) for one in value.arguments)})"
            case _:
                return self._operation(value, below)

    def _operation(self, value: plan.Scalar, below: list[plan.Relation]) -> str:
        def show(one: Any) -> str:
            return self._value(one, below)

        match value:
            case plan.Convert():
                return f"to {value.type}({show(value.value)})"
            case plan.Arithmetic() | plan.Compare():
                return f"({show(value.left)} {value.operator} {show(value.right)})"
            case plan.Logic():
                return f"({f' {value.operator} '.join(show(operand) for operand in value.operands)})"
            case plan.Not():
                return f"not({show(value.value)})"
            case plan.Negate():
                return f"-{show(value.value)}"
        fields = (field.name for field in dataclasses.fields(value) if field.name != "type")
        parts = (self._detail(name, getattr(value, name), below) for name in fields)
        return f"{type(value).__name__}({', '.join(part for part in parts if part)})"

    def _column(self, number: int) -> str:
        return f"{self._names.get(number, '')}#{number}"


def _constant(value: plan.Constant) -> str:
    encoded = json_value(value.type, value.value)
    text = "null" if encoded is None else json.dumps(encoded, ensure_ascii=False)
    return text if encoded is not None and value.type.value in _PLAIN else f"{value.type}({text})"


#: Types whose constants are written as they are; the others say their type.
_PLAIN = frozenset({"bool", "int", "long", "real", "string"})
