"""A finished tree as DuckDB's text: what sqlglot's generator writes for the nodes that lowerings make, many times faster.

A node that stands in several places is written once. Kinds without a row here are left to sqlglot.
`tests/kql/test_print.py` holds both to the same text.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from .sql import Renamed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sql import Node

_INFIX: dict[type[exp.Expression], str] = {
    exp.Add: "+",
    exp.And: "AND",
    exp.BitwiseAnd: "&",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseOr: "|",
    exp.DPipe: "||",
    exp.Div: "/",
    exp.EQ: "=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.IntDiv: "//",
    exp.Is: "IS",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Mod: "%",
    exp.Mul: "*",
    exp.NEQ: "<>",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Or: "OR",
    exp.Sub: "-",
}
#: The parts of a SELECT after its columns, in their order; each brings the space before it.
_CLAUSES = ("where", "group", "order", "limit")


def text_of(node: Node) -> str:
    """The SQL of a finished tree."""
    return _Printer().text(node)


def _by_sqlglot(node: Node) -> str:
    text: str = DuckDB.Generator(dialect="duckdb").generate(node)
    return text


class _Printer:
    """Writes one tree, and keeps what it wrote for each node."""

    def __init__(self) -> None:
        self._written: dict[int, str] = {}

    def text(self, node: Node) -> str:
        """The SQL of a node."""
        written = self._written.get(id(node))
        if written is None:
            row = _ROWS.get(type(node))
            written = _by_sqlglot(node) if row is None else row(self, node)
            self._written[id(node)] = written
        return written

    def listed(self, nodes: list[Node]) -> str:
        """Nodes with commas between."""
        written, text = self._written.get, self.text
        return ", ".join([written(id(node)) or text(node) for node in nodes])

    def renamed(self, node: Node) -> str:
        """Columns AS names."""
        columns, names = node.args["expressions"], node.args["names"]
        return ", ".join([f"{self.text(column)} AS {name}" for column, name in zip(columns, names, strict=True)])

    def optional(self, node: Node, part: str) -> str:
        """A part of a node, or nothing."""
        found = node.args.get(part)
        return self.text(found) if found is not None else ""

    # Values

    def identifier(self, node: Node) -> str:
        """A name."""
        name: str = node.args["this"]
        return '"' + name.replace('"', '""') + '"' if node.args["quoted"] else name

    def column(self, node: Node) -> str:
        """A column, or a lambda's variable."""
        table = node.args.get("table")
        name = self.identifier(node.args["this"])
        return name if table is None else f"{self.identifier(table)}.{name}"

    def literal(self, node: Node) -> str:
        """A text or a number."""
        value: str = node.args["this"]
        return "'" + value.replace("'", "''") + "'" if node.args["is_string"] else value

    def boolean(self, node: Node) -> str:
        """TRUE or FALSE."""
        return "TRUE" if node.args["this"] else "FALSE"

    def placeholder(self, node: Node) -> str:
        """A named parameter."""
        return f"${node.args['this']}"

    def cast(self, node: Node) -> str:
        """CAST and TRY_CAST."""
        word = "TRY_CAST" if type(node) is exp.TryCast else "CAST"
        return f"{word}({self.text(node.args['this'])} AS {self.text(node.args['to'])})"

    def data_type(self, node: Node) -> str:
        """A type: one without sizes is written once for all."""
        if node.args.get("expressions") or node.args.get("nested"):
            return _by_sqlglot(node)
        return _type_name(node.args["this"])

    def call(self, node: Node) -> str:
        """A function."""
        return f"{node.args['this'].upper()}({self.listed(node.args['expressions'])})"

    def infix(self, node: Node) -> str:
        """An infix operator: chains that lean to the left are written without going down."""
        parts: list[str] = []
        while type(node) in _INFIX:
            parts.append(self.text(node.args["expression"]))
            parts.append(_INFIX[type(node)])
            node = node.args["this"]
        parts.append(self.text(node))
        return " ".join(reversed(parts))

    def case(self, node: Node) -> str:
        """CASE WHEN."""
        branches = [
            f"WHEN {self.text(branch.args['this'])} THEN {self.text(branch.args['true'])}"
            for branch in node.args["ifs"]
        ]
        default = node.args.get("default")
        otherwise = "" if default is None else f" ELSE {self.text(default)}"
        return f"CASE {' '.join(branches)}{otherwise} END"

    def in_(self, node: Node) -> str:
        """IN over a list or a subquery."""
        query = node.args.get("query")
        items = f"({self.listed(node.args['expressions'])})" if query is None else self.text(query)
        return f"{self.text(node.args['this'])} IN {items}"

    def between(self, node: Node) -> str:
        """BETWEEN."""
        low, high = (self.text(node.args[part]) for part in ("low", "high"))
        return f"{self.text(node.args['this'])} BETWEEN {low} AND {high}"

    def lambda_(self, node: Node) -> str:
        """`lambda x: body`."""
        return f"LAMBDA {self.listed(node.args['expressions'])} : {self.text(node.args['this'])}"

    def struct(self, node: Node) -> str:
        """A struct, its fields by name."""
        fields = [
            f"{self._field(field.args['this'])}: {self.text(field.args['expression'])}"
            for field in node.args["expressions"]
        ]
        return "{" + ", ".join(fields) + "}"

    def _field(self, name: Node) -> str:
        return self.literal(exp.Literal(this=name.args["this"], is_string=True))

    def window(self, node: Node) -> str:
        """A call OVER a window."""
        if node.args.get("spec") is not None:
            return _by_sqlglot(node)
        partition = node.args.get("partition_by")
        order = node.args.get("order")
        parts = [] if not partition else [f"PARTITION BY {self.listed(partition)}"]
        if order is not None:
            parts.append(f"ORDER BY {self.listed(order.args['expressions'])}")
        return f"{self.text(node.args['this'])} OVER ({' '.join(parts)})"

    # Relations

    def select(self, node: Node) -> str:
        """A SELECT."""
        args = node.args
        ahead = args.get("with_")
        distinct = args.get("distinct")
        source = args.get("from_")
        parts = [
            "" if ahead is None else self.text(ahead) + " ",
            "SELECT ",
            "" if distinct is None else self.text(distinct) + " ",
            self.listed(args["expressions"]),
            "" if source is None else f" FROM {self.text(source.args['this'])}",
            *[self.text(join) for join in args.get("joins") or ()],
        ]
        parts.extend([self.text(args[clause]) for clause in _CLAUSES if args.get(clause) is not None])
        return "".join(parts)

    def clause(self, node: Node) -> str:
        """A list of expressions, or one, after its word."""
        found = node.args.get("expressions")
        return f" {_WORDS[type(node)]} {self.text(node.args['this']) if found is None else self.listed(found)}"

    def ordered_call(self, node: Node) -> str:
        """ORDER BY, with what stands before it inside a call."""
        return f"{self.optional(node, 'this')} ORDER BY {self.listed(node.args['expressions'])}"

    def limit(self, node: Node) -> str:
        """LIMIT."""
        return f" LIMIT {self.text(node.args['expression'])}"

    def ordered(self, node: Node) -> str:
        """An ordering: nulls are last where nothing is said."""
        descending = node.args.get("desc")
        direction = " DESC" if descending else " ASC" if descending is False else ""
        return self.text(node.args["this"]) + direction + (" NULLS FIRST" if node.args.get("nulls_first") else "")

    def distinct(self, node: Node) -> str:
        """DISTINCT of a call's arguments, or ON keys."""
        keys = node.args.get("on")
        values = node.args.get("expressions")
        return (
            f"DISTINCT{' ' + self.listed(values) if values else ''}{'' if keys is None else ' ON ' + self.text(keys)}"
        )

    def table(self, node: Node) -> str:
        """A stored table, or a table function, and its alias."""
        names = ".".join([self.text(node.args[part]) for part in ("catalog", "db", "this") if node.args.get(part)])
        return names + self._alias(node)

    def subquery(self, node: Node) -> str:
        """A SELECT in parentheses, and its alias."""
        return f"({self.text(node.args['this'])}){self._alias(node)}"

    def values(self, node: Node) -> str:
        """Rows of literals, as a table."""
        return f"(VALUES {self.listed(node.args['expressions'])}){self._alias(node)}"

    def table_alias(self, node: Node) -> str:
        """An alias, with names for its columns."""
        columns = node.args.get("columns")
        return self.optional(node, "this") + (f"({self.listed(columns)})" if columns else "")

    def _alias(self, node: Node) -> str:
        alias = node.args.get("alias")
        return "" if alias is None else f" AS {self.text(alias)}"

    def join(self, node: Node) -> str:
        """A join and its condition."""
        words = [word for word in (node.args.get("side"), node.args.get("kind"), "JOIN") if word]
        condition = node.args.get("on")
        on = "" if condition is None else f" ON {self.text(condition)}"
        return f" {' '.join(words)} {self.text(node.args['this'])}{on}"

    def union(self, node: Node) -> str:
        """UNION ALL."""
        legs = self.text(node.args["this"]), self.text(node.args["expression"])
        if node.args.get("distinct"):
            return " UNION ".join(legs)
        return (" UNION ALL BY NAME " if node.args.get("by_name") else " UNION ALL ").join(legs)

    def with_(self, node: Node) -> str:
        """WITH."""
        return f"WITH {self.listed(node.args['expressions'])}"

    def shared(self, node: Node) -> str:
        """A part of a WITH."""
        word = "MATERIALIZED " if node.args.get("materialized") else ""
        return f"{self.text(node.args['alias'])} AS {word}({self.text(node.args['this'])})"


@cache
def _type_name(kind: exp.DType) -> str:
    return _by_sqlglot(exp.DataType(this=kind))


_WORDS: dict[type[exp.Expression], str] = {exp.Group: "GROUP BY", exp.Where: "WHERE"}

_ROWS = cast(
    "dict[type[exp.Expression], Callable[[_Printer, Any], str]]",
    {
        **dict.fromkeys(_INFIX, _Printer.infix),
        exp.Alias: lambda printer, node: (
            f"{printer.text(node.args['this'])} AS {printer.identifier(node.args['alias'])}"
        ),
        exp.Anonymous: _Printer.call,
        exp.Between: _Printer.between,
        exp.Boolean: _Printer.boolean,
        exp.CTE: _Printer.shared,
        exp.Case: _Printer.case,
        exp.Cast: _Printer.cast,
        exp.Column: _Printer.column,
        exp.DataType: _Printer.data_type,
        exp.Distinct: _Printer.distinct,
        exp.Filter: lambda printer, node: (
            f"{printer.text(node.args['this'])} FILTER({printer.text(node.args['expression'])[1:]})"
        ),
        exp.Group: _Printer.clause,
        exp.Identifier: _Printer.identifier,
        exp.In: _Printer.in_,
        exp.Join: _Printer.join,
        exp.Lambda: _Printer.lambda_,
        exp.Limit: _Printer.limit,
        exp.Literal: _Printer.literal,
        exp.Neg: lambda printer, node: f"-{printer.text(node.args['this'])}",
        exp.Not: lambda printer, node: f"NOT {printer.text(node.args['this'])}",
        exp.Null: lambda _, __: "NULL",
        exp.Order: _Printer.ordered_call,
        exp.Ordered: _Printer.ordered,
        exp.Paren: lambda printer, node: f"({printer.text(node.args['this'])})",
        exp.Placeholder: _Printer.placeholder,
        exp.Select: _Printer.select,
        exp.Star: lambda _, __: "*",
        exp.Struct: _Printer.struct,
        exp.Subquery: _Printer.subquery,
        exp.Table: _Printer.table,
        exp.TableAlias: _Printer.table_alias,
        exp.TryCast: _Printer.cast,
        exp.Tuple: lambda printer, node: f"({printer.listed(node.args['expressions'])})",
        exp.Union: _Printer.union,
        exp.Values: _Printer.values,
        exp.Where: _Printer.clause,
        exp.Window: _Printer.window,
        Renamed: _Printer.renamed,
        exp.With: _Printer.with_,
    },
)
