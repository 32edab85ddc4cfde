"""Short makers of sqlglot nodes. Nodes are built directly; no SQL text is parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Node = exp.Expression
_N = TypeVar("_N", bound=exp.Expression)

_ATOMS = (exp.Column, exp.Literal, exp.Anonymous, exp.Cast, exp.Paren, exp.Placeholder, exp.Case, exp.Null, exp.Boolean)

BIGINT = exp.DType.BIGINT
HUGEINT = exp.DType.INT128
INTEGER = exp.DType.INT
DOUBLE = exp.DType.DOUBLE
VARCHAR = exp.DType.TEXT
BOOLEAN = exp.DType.BOOLEAN
UUID = exp.DType.UUID
TIMESTAMP = exp.DType.TIMESTAMP
DATE = exp.DType.DATE

NULL = exp.Null()


def light(kind: type[_N], args: dict[str, Any]) -> _N:
    """A node that does not say what holds it: nobody here asks.

    A union of all tables has a million nodes, and without that circle they go when the last that needs them does.
    """
    node = kind.__new__(kind)
    node.args = args
    node.parent = node.arg_key = node.index = node.comments = node._type = node._meta = node._hash = None  # noqa: SLF001 - what its __init__ sets
    return node


class Renamed(exp.Expression):
    """Columns with their names after AS, as many items of a SELECT do: one node for each would be most of a wide union."""

    arg_types: ClassVar = {"expressions": True, "names": True}


def renamed(columns: list[Node], names: tuple[str, ...]) -> Node:
    """`t.a AS v1, t.b AS v2, ...`, of generated names."""
    return light(Renamed, {"expressions": columns, "names": names})


def identifier(name: str, *, quoted: bool = False) -> exp.Identifier:
    """A generated name, printed as it is, or one in quotes."""
    return light(exp.Identifier, {"this": name, "quoted": quoted})


def column(table: str, name: str, *, quoted: bool = False) -> Node:
    """`table.name`."""
    return light(exp.Column, {"this": identifier(name, quoted=quoted), "table": identifier(table)})


def alias(node: Node, name: exp.Identifier) -> Node:
    """`node AS name`."""
    return light(exp.Alias, {"this": node, "alias": name})


def text(value: str) -> Node:
    """A string literal."""
    return light(exp.Literal, {"this": value, "is_string": True})


def number(value: int) -> Node:
    """A whole-number literal."""
    if value < 0:
        return exp.Paren(this=exp.Neg(this=exp.Literal(this=str(-value), is_string=False)))
    return exp.Literal(this=str(value), is_string=False)


def boolean(value: bool) -> Node:
    """TRUE or FALSE."""
    return exp.Boolean(this=value)


def call(name: str, *arguments: Node) -> Node:
    """A function call, by its name in the engine."""
    return light(exp.Anonymous, {"this": name, "expressions": list(arguments)})


def data_type(kind: exp.DType, *sizes: int) -> exp.DataType:
    """A type, with precision and scale for decimals."""
    return exp.DataType(
        this=kind, expressions=[exp.DataTypeParam(this=exp.Literal(this=str(size), is_string=False)) for size in sizes]
    )


def decimal_type() -> exp.DataType:
    """DECIMAL(34,17): how decimal is kept."""
    return data_type(exp.DType.DECIMAL, 34, 17)


def whole_decimal_type() -> exp.DataType:
    """DECIMAL(38,0): decimals without a fraction that need more digits before the point."""
    return data_type(exp.DType.DECIMAL, 38, 0)


def cast(node: Node, kind: exp.DType | exp.DataType) -> Node:
    """CAST."""
    return exp.Cast(this=node, to=kind if isinstance(kind, exp.DataType) else data_type(kind))


def try_cast(node: Node, kind: exp.DType | exp.DataType) -> Node:
    """TRY_CAST."""
    return exp.TryCast(this=node, to=kind if isinstance(kind, exp.DataType) else data_type(kind))


def atom(node: Node) -> Node:
    """The node, in parentheses if it could fall apart beside an operator."""
    return node if isinstance(node, _ATOMS) else exp.Paren(this=node)


def binary(kind: type[exp.Expression], left: Node, right: Node) -> Node:
    """An infix operator with both sides kept together."""
    return kind(this=atom(left), expression=atom(right))


def add(left: Node, right: Node) -> Node:
    """`+`."""
    return binary(exp.Add, left, right)


def subtract(left: Node, right: Node) -> Node:
    """`-`."""
    return binary(exp.Sub, left, right)


def multiply(left: Node, right: Node) -> Node:
    """`*`."""
    return binary(exp.Mul, left, right)


def whole_divide(left: Node, right: Node) -> Node:
    """`//`: division of whole numbers, towards zero."""
    return binary(exp.IntDiv, left, right)


def modulo(left: Node, right: Node) -> Node:
    """`%`, with the sign of the left side."""
    return binary(exp.Mod, left, right)


def equal(left: Node, right: Node) -> Node:
    """`=`."""
    return binary(exp.EQ, left, right)


def concat(*parts: Node) -> Node:
    """`||`; null where a part is."""
    result = parts[0]
    for part in parts[1:]:
        result = exp.DPipe(
            this=result if isinstance(result, exp.DPipe) else atom(result), expression=atom(part), safe=True
        )
    return result


def both(*conditions: Node) -> Node:
    """AND."""
    result = conditions[0]
    for condition in conditions[1:]:
        left = result if isinstance(result, exp.And) else atom(result)
        result = exp.And(this=left, expression=atom(condition))
    return result


def either(*conditions: Node) -> Node:
    """OR."""
    result = conditions[0]
    for condition in conditions[1:]:
        left = result if isinstance(result, exp.Or) else atom(result)
        result = exp.Or(this=left, expression=atom(condition))
    return result


def negation(condition: Node) -> Node:
    """NOT."""
    return exp.Not(this=atom(condition))


def is_null(node: Node) -> Node:
    """IS NULL."""
    return exp.Is(this=atom(node), expression=exp.Null())


def case(branches: Sequence[tuple[Node, Node]], otherwise: Node | None = None) -> Node:
    """CASE WHEN."""
    return exp.Case(ifs=[exp.If(this=when, true=then) for when, then in branches], default=otherwise)


def coalesce(*nodes: Node) -> Node:
    """The first that is not null."""
    return call("coalesce", *nodes)


def or_empty(node: Node) -> Node:
    """The text, or an empty one for null: KQL strings are never null."""
    return coalesce(node, text(""))


def null_if_zero(node: Node) -> Node:
    """The divisor, or null when it is zero; a literal other than zero stays as it is."""
    if isinstance(node, exp.Literal) and node.this.strip("0"):
        return node
    return call("nullif", node, number(0))


def mod_positive(value: Node, size: Node) -> Node:
    """The modulo of KQL: never negative (https://learn.microsoft.com/kusto/query/numerical-operators).

    No step on the way leaves the 64 bits: the smallest number has no positive counterpart, and cannot be divided by -1.
    """
    if isinstance(size, exp.Literal) and size.this.isdigit() and 0 < int(size.this) < 2**62:
        return modulo(add(modulo(value, size), size), size)
    rest = modulo(value, case([(equal(size, number(-1)), number(1))], null_if_zero(size)))
    above, below = binary(exp.GTE, rest, number(0)), binary(exp.LT, size, number(0))
    return case([(above, add(rest, number(0))), (below, subtract(rest, size))], add(rest, size))


def struct(fields: Mapping[str, Node]) -> Node:
    """A struct of named fields."""
    return exp.Struct(
        expressions=[exp.PropertyEQ(this=identifier(name), expression=value) for name, value in fields.items()]
    )


def lambda_(name: str, body: Node) -> Node:
    """`lambda name: body`."""
    return exp.Lambda(this=body, expressions=[identifier(name)])


def variable(name: str) -> Node:
    """A lambda's variable."""
    return exp.Column(this=identifier(name))
