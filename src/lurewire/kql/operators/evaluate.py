"""The evaluate operator: plug-ins, each a row of PLUGINS.

The columns of some plug-ins depend on the data. Where the query does not declare them, they are found by a first query,
which the caller of the compiler runs (`explore`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.errors import nearest, semantic, unsupported
from lurewire.kql.known_names import PLUGINS as KNOWN_PLUGINS
from lurewire.kql.types import TYPE_NAMES, Column

from . import (
    plugins_activity,
    plugins_columns,
    plugins_geo,
    plugins_lookup,
    plugins_patterns,
    plugins_sequences,
    plugins_windows,
)
from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context, Rows

    from .plugins_columns import Schema

#: Every plug-in: its arguments, the declared schema if there is one, and its input make its output.
PLUGINS: dict[str, Callable[[tree.Call, Schema | None, Rows, Context], Rows]] = {
    "bag_unpack": plugins_columns.bag_unpack,
    "pivot": plugins_columns.pivot,
    "narrow": plugins_columns.narrow,
    "ipv4_lookup": plugins_lookup.ipv4_lookup,
    "ipv6_lookup": plugins_lookup.ipv6_lookup,
    "geo_line_lookup": plugins_geo.geo_line_lookup,
    "geo_polygon_lookup": plugins_geo.geo_polygon_lookup,
    "autocluster": plugins_patterns.autocluster,
    "basket": plugins_patterns.basket,
    "diffpatterns": plugins_patterns.diffpatterns,
    "dcount_intersect": plugins_windows.dcount_intersect,
    "rolling_percentile": plugins_windows.rolling_percentile,
    "rows_near": plugins_windows.rows_near,
    "schema_merge": plugins_windows.schema_merge,
    "funnel_sequence": plugins_sequences.funnel_sequence,
    "funnel_sequence_completion": plugins_sequences.funnel_sequence_completion,
    "sequence_detect": plugins_sequences.sequence_detect,
    "active_users_count": plugins_activity.active_users_count,
    "activity_counts_metrics": plugins_activity.activity_counts_metrics,
    "activity_engagement": plugins_activity.activity_engagement,
    "activity_metrics": plugins_activity.activity_metrics,
    "new_activity_metrics": plugins_activity.new_activity_metrics,
    "session_count": plugins_activity.session_count,
    "sliding_window_counts": plugins_activity.sliding_window_counts,
}


@dataclass(frozen=True, slots=True)
class Evaluate(tree.Operator):
    """`evaluate plugin(arguments) : (schema)`."""

    call: tree.Call
    schema: Schema | None


@dataclass(frozen=True, slots=True)
class EvaluateSource(Evaluate):
    """`evaluate plugin(arguments)` at the start of a pipeline."""


def _parse(parser: Parser, name: Token) -> Evaluate:
    parser.parameters()
    at = parser.current.at
    call = parser.postfix()
    if not isinstance(call, tree.Call):
        raise semantic("'evaluate' operator: a plug-in with its arguments is expected", at)
    return Evaluate(name.at, call, _parse_schema(parser) if parser.accept(":") else None)


def _parse_schema(parser: Parser) -> Schema:
    """`(*, name: type, ...)`: the star stands for the input's columns."""
    columns: list[Column] = []
    star = False
    parser.expect("(")
    while not parser.at_text(")"):
        if parser.accept("*"):
            star = True
        else:
            name = parser.name()
            parser.expect(":")
            token = parser.advance()
            if token.text not in TYPE_NAMES:
                parser.fail("expected a type", token)
            columns.append(Column(name, TYPE_NAMES[token.text]))
        if not parser.accept(","):
            break
    parser.expect(")")
    return plugins_columns.Schema(star, tuple(columns))


def _bind(node: Evaluate, rows: Rows, context: Context) -> Rows:
    return _plugin(node)(node.call, node.schema, rows, context)


def _plugin(node: Evaluate) -> Callable[[tree.Call, Schema | None, Rows, Context], Rows]:
    name = node.call.name
    plugin = PLUGINS.get(name)
    if plugin is not None:
        return plugin
    if name in KNOWN_PLUGINS:
        raise unsupported(f"the plug-in '{name}'", node.call.at, name)
    message = f"'evaluate' operator: there is no plug-in named '{name}'"
    raise semantic(message, node.call.at, token=name, hint=nearest(name, PLUGINS))


def _parse_source(parser: Parser, name: Token) -> EvaluateSource:
    parsed = _parse(parser, name)
    return EvaluateSource(parsed.at, parsed.call, parsed.schema)


def _bind_source(node: EvaluateSource, rows: Rows, context: Context) -> Rows:
    """Plug-ins that make rows of nothing read from elsewhere: there is none of them among PLUGINS."""
    del rows, context
    _plugin(node)
    name = node.call.name
    raise semantic(f"'evaluate' operator: the plug-in '{name}' works on the rows of an input", node.at, token=name)


OPERATORS = (
    TabularOperator("evaluate", Evaluate, _parse, _bind, row_wise=False),
    TabularOperator("evaluate", EvaluateSource, _parse_source, _bind_source, row_wise=False, source=True),
)
