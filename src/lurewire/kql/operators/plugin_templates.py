"""Plug-ins written as KQL: a template's operators, with the query's own columns and expressions put in their places.

In a template, a name in capitals stands for what the caller gives for it: an expression, several of them, or (where a
column is made or read) a name. A name that begins with `_` is the template's own; it becomes one that no query can write,
so that it meets no column of the input.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.kql import tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.plan import Constant
from lurewire.kql.scope import ERROR
from lurewire.kql.types import KqlType

from .plugins_columns import column_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lurewire.kql import plan
    from lurewire.kql.scope import Context, Rows

    from .plugins_columns import Schema

#: What a name of a template may stand for.
Given = tree.Expression | tuple[tree.Expression, ...] | str
#: Begins the names that templates make for themselves.
OWN = "\0"


@functools.cache
def _operators(text: str) -> tuple[tree.Operator, ...]:
    from lurewire.kql.parser import Parser  # noqa: PLC0415 - the registry of operators is not there yet when this is read

    from . import OPERATORS, SOURCES  # noqa: PLC0415 - as above

    parsed = Parser(f"T | {text}", OPERATORS, SOURCES).query()
    assert not parsed.problems, parsed.problems
    pipeline = parsed.statements[0]
    assert isinstance(pipeline, tree.Pipeline)
    return pipeline.operators


@functools.cache
def _expression(text: str) -> tree.Expression:
    from lurewire.kql.parser import Parser  # noqa: PLC0415 - as above

    return Parser(text, {}, {}).expression()


def expression(text: str, given: Mapping[str, Given], at: int) -> tree.Expression:
    """A template's expression."""
    filled: tree.Expression = _filled(_expression(text), given, at)
    return filled


def operators_of(text: str, given: Mapping[str, Given], at: int) -> tuple[tree.Operator, ...]:
    """A template's operators."""
    filled: tuple[tree.Operator, ...] = _filled(_operators(text), given, at)
    return filled


def rows_of(text: str, given: Mapping[str, Given], rows: Rows, context: Context, at: int) -> Rows:
    """The rows that come out of a template's operators; problems are told at `at`."""
    from lurewire.kql.compiler import bind_operators  # noqa: PLC0415 - the compiler knows all operators

    return bind_operators(operators_of(text, given, at), rows, context)


def _filled(part: Any, given: Mapping[str, Given], at: int) -> Any:
    if isinstance(part, tuple):
        items: list[Any] = []
        for item in part:
            filled = _filled(item, given, at)
            several = isinstance(item, tree.Name) and isinstance(filled, tuple)
            items.extend(filled if several else (filled,))
        return tuple(items)
    if isinstance(part, tree.Name):
        stands = given.get(part.name)
        if stands is None or isinstance(stands, str):
            return tree.Name(at, stands or _own(part.name))
        return stands
    if isinstance(part, str):
        return _label(part, given)
    if not isinstance(part, tree.Node):
        return part
    if isinstance(part, tree.Literal):
        return dataclasses.replace(part, at=at)
    changed = {field.name: _filled(getattr(part, field.name), given, at) for field in dataclasses.fields(part)}
    return type(part)(**{**changed, "at": at})


def _label(name: str, given: Mapping[str, Given]) -> str:
    stands = given.get(name)
    return stands if isinstance(stands, str) else _own(name)


def _own(name: str) -> str:
    return OWN + name[1:] if name.startswith("_") else name


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a plug-in's call."""

    node: tree.Call
    rows: Rows
    context: Context

    @classmethod
    def of(
        cls, node: tree.Call, schema: Schema | None, rows: Rows, context: Context, least: int, most: int
    ) -> Arguments:
        """The call's arguments, whose number is checked; no plug-in here takes a schema."""
        if schema is not None:
            raise semantic(f"{node.name}(): takes no output schema", node.at, token=node.name)
        if not least <= len(node.arguments) <= most:
            wanted = f"{least} arguments or more" if most > len(node.arguments) else f"{least} to {most} arguments"
            raise semantic(f"{node.name}(): expects {wanted}, not {len(node.arguments)}", node.at, token=node.name)
        return cls(node, rows, context)

    def column(self, place: int, kinds: frozenset[KqlType] | None = None) -> plan.Output:
        """The column that an argument names, of one of these types."""
        column = column_of(self.node.arguments[place], self.rows, self.node.name)
        if kinds is not None and column.type not in kinds:
            shown = ", ".join(sorted(kinds))
            message = f"{self.node.name}(): '{column.name}' must be of type {shown}, not {column.type}"
            raise semantic(message, self.node.arguments[place].at, token=column.name)
        return column

    def columns(self, first: int, end: int | None = None) -> tuple[plan.Output, ...]:
        """The columns that the arguments from a place on name, each once."""
        found: list[plan.Output] = []
        for place in range(first, len(self.node.arguments) if end is None else end):
            column = self.column(place)
            if column.type is KqlType.DYNAMIC or column in found:
                what = "is given twice" if column in found else "is dynamic, and so no dimension"
                raise semantic(f"{self.node.name}(): '{column.name}' {what}", self.node.arguments[place].at)
            found.append(column)
        return tuple(found)

    def typed(self, place: int, kinds: frozenset[KqlType]) -> tree.Expression:
        """An argument that reads no column and has one of these types."""
        argument = self.value(place)
        bound = ExpressionBinder(self.context, None, self.node.name).bind(argument)
        if bound is not ERROR and bound.type not in kinds:
            shown = ", ".join(sorted(kinds))
            message = f"{self.node.name}(): argument {place + 1} must be of type {shown}, not {bound.type}"
            raise semantic(message, argument.at)
        return argument

    def constant(self, place: int, kinds: frozenset[KqlType]) -> int | float | str | bool:
        """The value of an argument that must be a literal of one of these types."""
        argument = self.value(place)
        bound = ExpressionBinder(self.context, None, self.node.name).bind(argument)
        if not isinstance(bound, Constant):
            raise unsupported(f"{self.node.name}() with an argument {place + 1} that is not a literal", argument.at)
        if bound.type not in kinds or not isinstance(bound.value, int | float | str | bool):
            shown = ", ".join(sorted(kinds))
            message = f"{self.node.name}(): argument {place + 1} must be of type {shown}, not {bound.type}"
            raise semantic(message, argument.at)
        return bound.value

    def span(self, place: int, kinds: frozenset[KqlType]) -> int | float:
        """The value of an argument that must be a literal above zero."""
        value = self.constant(place, kinds)
        if isinstance(value, str) or not value > 0:
            raise self.wrong(place, "must be above zero")
        return value

    def value(self, place: int) -> tree.Expression:
        """An argument without its name."""
        argument = self.node.arguments[place]
        return argument.value if isinstance(argument, tree.Named) else argument

    def wrong(self, place: int, what: str) -> Exception:
        """The problem of an argument."""
        return semantic(f"{self.node.name}(): argument {place + 1} {what}", self.node.arguments[place].at)


def names_of(columns: Sequence[plan.Output], at: int) -> tuple[tree.Expression, ...]:
    """Columns as names in an expression."""
    return tuple(tree.Name(at, column.name) for column in columns)


def key_of(columns: Sequence[plan.Output], at: int) -> tree.Expression:
    """The values of columns as one text, which tells any two of them apart."""
    if not columns:
        return tree.Literal(at, KqlType.STRING, "")
    return tree.Call(at, "tostring", (tree.Call(at, "pack_array", names_of(columns, at)),))


def number(value: float, at: int) -> tree.Expression:
    """A number as a literal."""
    return tree.Literal(at, KqlType.REAL if isinstance(value, float) else KqlType.LONG, value)
