"""The find operator: rows of several tables under chosen columns, the others packed.

Source: https://learn.microsoft.com/kusto/query/find-operator. Its example packs what is not projected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to
from lurewire.kql.dialects import sql
from lurewire.kql.errors import DUPLICATE, UNRESOLVED, nearest, semantic
from lurewire.kql.functions.common import duckdb
from lurewire.kql.functions.registry import Function
from lurewire.kql.scope import Rows
from lurewire.kql.types import KqlType

from .registry import TabularOperator
from .terms import Matches, matching, parse_predicate, types_of
from .unions import combine, legs_of, parse_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.dialects.sql import Node
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_SOURCE = "source_"
_PACK = "pack_"

Legs = list[tuple[str, Rows]]


def _pack_of_texts(arguments: Sequence[Node], call: plan.Call) -> Node:
    """A bag of its slots' texts, which are constants, and its values in JSON; a string has one, whatever it is."""
    null = sql.text("null")
    pieces = [
        sql.coalesce(node, null) if value.type is KqlType.DYNAMIC and not _is_of_text(value) else node
        for node, value in zip(arguments, call.arguments, strict=True)
    ]
    return sql.call("concat_ws", sql.text(""), *pieces)


def _is_of_text(value: plan.Scalar) -> bool:
    return isinstance(value, plan.Convert) and value.value.type is KqlType.STRING


#: bag_pack() of so many columns in so many tables that its keys are written beforehand.
_PACK_OF_TEXTS = Function("bag_pack", (), KqlType.DYNAMIC, duckdb(_pack_of_texts), never_null=True)


@dataclass(frozen=True, slots=True)
class Projected(tree.Node):
    """A column that comes out, of a type if the query says one."""

    name: str
    type: KqlType | None


@dataclass(frozen=True, slots=True)
class Find(tree.Operator):
    """`find withsource=... in (tables) where predicate project ...`; without `columns`, as project-smart has it."""

    source: str
    tables: tuple[tree.Expression | tree.Pattern, ...]
    predicate: tree.Expression
    columns: tuple[Projected, ...] | None
    pack: bool


def _parse(parser: Parser, name: Token) -> Find:
    source = _SOURCE
    while parser.at_text("withsource", "with_source", "datascope") and parser.peek().text == "=":
        word = parser.advance().text
        parser.advance()
        given = parser.string() if parser.current.kind == "string" else parser.name()
        # Where the data lies (hot or all) changes no answer here.
        source = source if word == "datascope" else given
    tables: tuple[tree.Expression | tree.Pattern, ...] = ()
    if parser.at_text("in") and parser.peek().text == "(":
        parser.advance()
        parser.advance()
        tables = parse_tables(parser)
        parser.expect(")")
    parser.accept("where")
    predicate = parse_predicate(parser)
    columns: tuple[Projected, ...] | None = None
    pack = False
    if parser.at_text("project"):
        word = parser.operator_name().text
        if word not in ("project", "project-smart"):
            parser.fail("expected 'project' or 'project-smart'")
        if word == "project":
            items = parser.comma_list(lambda: _parse_item(parser))
            pack = items[-1] is None
            columns = tuple(item for item in items if item is not None)
            if len(columns) + pack != len(items):
                raise semantic("'find' operator: pack_all() must come last in the list", name.at)
    return Find(name.at, source, tables, predicate, columns, pack)


def _parse_item(parser: Parser) -> Projected | None:
    """A column, or None for pack(*) and pack_all()."""
    at = parser.current.at
    if parser.at_text("pack", "pack_all") and parser.peek().text == "(":
        parser.advance()
        parser.advance()
        parser.accept("*")
        parser.expect(")")
        return None
    name = parser.name()
    return Projected(at, name, parser.type_name() if parser.accept(":") else None)


def _bind(node: Find, rows: Rows, context: Context) -> Rows:
    del rows
    legs = legs_of(node.tables or (tree.Pattern(node.at, "*"),), context, fuzzy=False)
    found = matching(node.predicate, legs, context, "find")
    if not found.everywhere and len(legs) > 1:
        found.legs = [(label, leg) for label, leg in found.legs if any(c.name in found.named for c in _all(leg))]
    if not found.legs:
        number = context.new_id()
        empty = plan.Values((number,), (KqlType.STRING,), ())
        return Rows(empty, (plan.Output(node.source, number, KqlType.STRING),))
    shown = _smart(found, context) if node.columns is None else _projected(node, found.legs, context)
    return combine(shown, context, node.at, source=node.source)


def _all(rows: Rows) -> tuple[plan.Output, ...]:
    return (*rows.columns, *rows.hidden)


def _smart(found: Matches, context: Context) -> Legs:
    """project-smart: the columns that all tables have and those of the predicate; the others packed, if there are any."""
    common = set.intersection(*({column.name for column in rows.columns} for _, rows in found.legs))
    kept = [
        (label, rows, tuple(c for c in _all(rows) if c.name in common or c.name in found.named))
        for label, rows in found.legs
    ]
    first = [column.name for column in kept[0][2]]
    others = dict.fromkeys(column.name for _, _, columns in kept for column in columns)
    place = {name: position for position, name in enumerate(dict.fromkeys([*_in(first, common), *others]))}
    packs = any({c.name for c in rows.columns} - {c.name for c in columns} for _, rows, columns in kept)
    made: Legs = []
    for label, rows, columns in kept:
        relation, ordered = rows.relation, sorted(columns, key=lambda column: place[column.name])
        if packs:
            relation, pack = _packed(rows, {column.name for column in columns}, context)
            ordered.append(pack)
        made.append((label, Rows(relation, tuple(ordered))))
    return made


def _in(names: list[str], wanted: set[str]) -> list[str]:
    return [name for name in names if name in wanted]


def _packed(rows: Rows, but: set[str], context: Context) -> tuple[plan.Relation, plan.Output]:
    """A bag of the columns whose names are not in `but`."""
    parts: list[plan.Scalar] = []
    before = "{"
    for column in rows.columns:
        if column.name not in but:
            key = plan.Constant(KqlType.STRING, f"{before}{json.dumps(column.name, ensure_ascii=False)}:")
            parts.extend((key, to(plan.ColumnRef(column.type, column.id), KqlType.DYNAMIC)))
            before = ","
    bag: plan.Scalar = plan.Constant(KqlType.DYNAMIC, "{}")
    if parts:
        bag = plan.Call(KqlType.DYNAMIC, _PACK_OF_TEXTS, (*parts, plan.Constant(KqlType.STRING, "}")))
    number = context.new_id()
    return plan.Compute(rows.relation, ((number, bag),)), plan.Output(_PACK, number, KqlType.DYNAMIC)


def _projected(node: Find, legs: Legs, context: Context) -> Legs:
    """The columns of the list, null where a table has none of the name."""
    assert node.columns is not None
    kinds = {column.name: _kind(column, legs, context) for column in node.columns}
    if len(kinds) != len(node.columns):
        raise semantic("'find' operator: a column is projected twice", node.at, DUPLICATE)
    made: Legs = []
    for label, rows in legs:
        own = {column.name: column for column in _all(rows)}
        computed: list[tuple[int, plan.Scalar]] = []
        columns: list[plan.Output] = []
        for name, kind in kinds.items():
            column = own.get(name)
            value: plan.Scalar = plan.Constant(kind, "" if kind is KqlType.STRING else None)
            if column is not None:
                value = to(plan.ColumnRef(column.type, column.id), kind)
            columns.append(plan.Output(name, context.new_id(), kind))
            computed.append((columns[-1].id, value))
        relation: plan.Relation = plan.Compute(rows.relation, tuple(computed))
        if node.pack:
            relation, pack = _packed(Rows(relation, rows.columns), set(kinds), context)
            columns.append(pack)
        made.append((label, Rows(relation, tuple(columns))))
    return made


def _kind(column: Projected, legs: Legs, context: Context) -> KqlType:
    """The type in which a column comes out; one of several types must say which."""
    held = {found.type for _, rows in legs for found in _all(rows) if found.name == column.name}
    if not held:
        message = f"'find' operator: Failed to resolve column named '{column.name}'"
        hint = nearest(column.name, types_of(legs))
        context.report(semantic(message, column.at, UNRESOLVED, column.name, hint))
        return KqlType.STRING
    if column.type is not None:
        return column.type
    if len(held) > 1:
        shown = ", ".join(sorted(held))
        message = (
            f"'find' operator: the column '{column.name}' has several types ({shown}): write '{column.name}: type'"
        )
        context.report(semantic(message, column.at, token=column.name))
    return min(held)


OPERATORS = (TabularOperator("find", Find, _parse, _bind, row_wise=False, source=True),)
