"""The render operator: carried to the client, without effect on the rows.

Source: https://learn.microsoft.com/kusto/query/render-operator. Visualizations and properties are those of Microsoft's
published analyser; others are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.constants import evaluated
from lurewire.kql.errors import DUPLICATE, UNRESOLVED, nearest, semantic
from lurewire.kql.render import Rendering
from lurewire.kql.scope import ERROR
from lurewire.kql.types import NUMBERS, KqlType

from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context, Rows

_VISUALIZATIONS = frozenset(
    {
        "3Dchart", "anomalychart", "areachart", "barchart", "card", "columnchart", "graph", "ladderchart", "linechart", "list",
        "piechart", "pivotchart", "plotly", "sankey", "scatterchart", "stackedareachart", "table", "timechart",
        "timeline", "timepivot", "treemap",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column(tree.Node):
    """A column that a property names."""

    name: str


#: A property's value: as it is carried, an expression to evaluate, or columns to find.
Value = str | tree.Expression | tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Render(tree.Operator):
    """`render visualization with (property = value, ...)`."""

    visualization: str
    properties: tuple[tuple[str, Value], ...]


def _parse(parser: Parser, name: Token) -> Render:
    chosen = parser.accept(*_VISUALIZATIONS) or parser.fail(f"expected one of {', '.join(sorted(_VISUALIZATIONS))}")
    properties: dict[str, Value] = {}
    if parser.accept("with"):
        parser.expect("(")
        more = not parser.at_text(")")
        while more:
            _property(parser, properties)
            more = parser.accept(",") is not None
        parser.expect(")")
    while parser.current.kind == "name" and parser.peek().text == "=":
        _property(parser, properties)
    return Render(name.at, chosen.text, tuple(properties.items()))


def _property(parser: Parser, properties: dict[str, Value]) -> None:
    key = parser.current
    if key.kind != "name" or key.text not in _PROPERTIES:
        parser.fail(f"expected a property: one of {', '.join(_PROPERTIES)}")
    if key.text in properties:
        raise semantic(f"'render' operator: the property '{key.text}' is given twice", key.at, DUPLICATE, key.text)
    parser.advance()
    parser.expect("=")
    properties[key.text] = _PROPERTIES[key.text](parser)


def _word(*words: str) -> Callable[[Parser], Value]:
    def parse(parser: Parser) -> Value:
        return (parser.accept(*words) or parser.fail(f"expected one of {', '.join(words)}")).text

    return parse


def _flag(parser: Parser) -> Value:
    return "true" if parser.flag() else "false"


def _text(parser: Parser) -> Value:
    return parser.postfix()


def _column(parser: Parser) -> Value:
    return (Column(parser.current.at, parser.name()),)


def _columns(parser: Parser) -> Value:
    """A list of columns; it ends where the next `name =` begins."""
    columns = [Column(parser.current.at, parser.name())]
    while parser.at_text(",") and parser.peek(2).text != "=" and parser.peek().text != ")":
        parser.advance()
        columns.append(Column(parser.current.at, parser.name()))
    return tuple(columns)


def _literal(kinds: frozenset[KqlType]) -> Callable[[Parser], Value]:
    def parse(parser: Parser) -> Value:
        sign = parser.accept("-", "+")
        token = parser.current
        node = parser.postfix()
        allowed = kinds & NUMBERS if sign else kinds
        if not isinstance(node, tree.Literal) or node.type not in allowed:
            raise semantic(f"'render' operator: expected a literal of {', '.join(sorted(allowed))}", token.at)
        written = node.value if isinstance(node.value, str) and node.type is KqlType.STRING else token.text
        return written if sign is None else sign.text + written

    return parse


#: How the value of each property is read.
_PROPERTIES: dict[str, Callable[[Parser], Value]] = {
    "accumulate": _flag,
    "anomalycolumns": _columns,
    "kind": _word("default", "unstacked", "stacked", "stacked100", "map"),
    "legend": _word("visible", "hidden"),
    "series": _columns,
    "title": _text,
    "xaxis": _word("linear", "log"),
    "xcolumn": _column,
    "xmax": _literal(frozenset(KqlType)),
    "xmin": _literal(frozenset(KqlType)),
    "xtitle": _text,
    "yaxis": _word("linear", "log"),
    "ycolumns": _columns,
    "ymax": _literal(NUMBERS),
    "ymin": _literal(NUMBERS),
    "ysplit": _word("none", "axes", "panels"),
    "ytitle": _text,
}


def _bind(node: Render, rows: Rows, context: Context) -> Rows:
    properties = {name: _value(value, rows, context) for name, value in node.properties}
    context.rendering = Rendering(node.visualization, properties)
    return rows


def _value(value: Value, rows: Rows, context: Context) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        for column in value:
            if rows.find(column.name) is None:
                message = f"'render' operator: Failed to resolve column named '{column.name}'"
                hint = nearest(column.name, [known.name for known in rows.columns])
                context.report(semantic(message, column.at, UNRESOLVED, column.name, hint))
        return ",".join(column.name for column in value)
    bound = ExpressionBinder(context, None, "render").bind(value)
    if bound is not ERROR and bound.type not in (KqlType.STRING, KqlType.DYNAMIC):
        context.report(semantic(f"'render' operator: a title must be of type string, not {bound.type}", value.at))
        return ""
    constant = evaluated(bound, "'render' operator: a title", value.at, context)
    return "" if constant is None or constant.value is None else str(constant.value)


OPERATORS = (TabularOperator("render", Render, _parse, _bind),)
