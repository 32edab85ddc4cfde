"""The parse-kv operator: columns out of the keys and values in a text.

Source: https://learn.microsoft.com/kusto/query/parse-kv-operator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import Consequence, semantic
from lurewire.kql.functions import FUNCTIONS
from lurewire.kql.functions.key_values import BY_REGEX, VALUES
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import Column, KqlType

from .parsing import groups_of
from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

#: Properties, and whether they may be repeated.
_PROPERTIES = {
    "pair_delimiter": False,
    "kv_delimiter": False,
    "quote": True,
    "escape": True,
    "greedy": False,
    "regex": False,
}


@dataclass(frozen=True, slots=True)
class ParseKv(tree.Operator):
    """`parse-kv expression as (keys) with (properties)`."""

    subject: tree.Expression
    keys: tuple[Column, ...]
    properties: dict[str, list[tree.Literal]] = field(default_factory=dict)


def _parse(parser: Parser, name: Token) -> ParseKv:
    subject = parser.expression()
    parser.expect("as")
    keys = parser.schema()
    found: dict[str, list[tree.Literal]] = {}
    if parser.accept("with"):
        parser.expect("(")
        if not parser.accept(")"):
            parser.comma_list(lambda: _property(parser, found))
            parser.expect(")")
    return ParseKv(name.at, subject, keys, found)


def _property(parser: Parser, found: dict[str, list[tree.Literal]]) -> None:
    token = parser.accept(*_PROPERTIES) or parser.fail(f"expected one of {', '.join(_PROPERTIES)}")
    parser.expect("=")
    value = parser.expression()
    while isinstance(value, tree.Parenthesis):
        value = value.inner
    wanted = KqlType.BOOL if token.text == "greedy" else KqlType.STRING
    if not isinstance(value, tree.Literal) or value.type is not wanted:
        raise semantic(f"'parse-kv' operator: '{token.text}' must be a {wanted} literal", value.at, token=token.text)
    if token.text in found and not _PROPERTIES[token.text]:
        raise semantic(f"'parse-kv' operator: '{token.text}' is said twice", token.at, token=token.text)
    found.setdefault(token.text, []).append(value)


def _bind(node: ParseKv, rows: Rows, context: Context) -> Rows:
    subject = ExpressionBinder(context, rows, "parse-kv").bind(node.subject)
    if subject is ERROR:
        raise Consequence(node.at)
    values = _call(node, to(subject, KqlType.STRING))
    number = context.new_id()
    relation = plan.Compute(rows.relation, ((number, values),))
    projection = Projection(rows.columns)
    made: list[tuple[int, plan.Scalar]] = []
    for place, key in enumerate(node.keys):
        value = plan.Path(KqlType.DYNAMIC, plan.ColumnRef(KqlType.DYNAMIC, number), (place,))
        made.append((context.new_id(), _typed(value, key.type)))
        projection.declare(key.name, made[-1][0], key.type, node.at, replace=True)
    return Rows(plan.Compute(relation, tuple(made)), tuple(projection.columns))


def _typed(value: plan.Scalar, kind: KqlType) -> plan.Scalar:
    text = to(value, KqlType.STRING)
    if kind is KqlType.DYNAMIC:
        return plan.Call(kind, FUNCTIONS["parse_json"], (text,))
    return to(text, kind)


def _call(node: ParseKv, subject: plan.Scalar) -> plan.Scalar:
    """The values of the keys, as an array."""
    said = {name: [str(literal.value) for literal in literals] for name, literals in node.properties.items()}
    names = [key.name for key in node.keys]
    if "regex" in said:
        if len(said) > 1:
            raise semantic("'parse-kv' operator: 'regex' stands alone", node.at)
        (pattern,) = said["regex"]
        if groups_of(pattern) != 2:
            raise semantic(
                "'parse-kv' operator: the regular expression must have two groups, for key and value", node.at
            )
        texts = tuple(plan.Constant(KqlType.STRING, text) for text in (pattern, *names))
        return plan.Call(KqlType.DYNAMIC, BY_REGEX, (subject, *texts))
    pair, kv = said.get("pair_delimiter", [None])[0], said.get("kv_delimiter", [None])[0]
    if (pair is None) != (kv is None):
        raise semantic("'parse-kv' operator: 'pair_delimiter' and 'kv_delimiter' are said both or neither", node.at)
    if not (pair is None or pair) or not (kv is None or kv):
        raise semantic("'parse-kv' operator: a delimiter cannot be empty", node.at)
    quotes, escapes = said.get("quote", []), said.get("escape", [])
    if any(len(quote) not in (1, 2) for quote in quotes):
        raise semantic("'parse-kv' operator: 'quote' must have one or two characters", node.at)
    if any(len(escape) != 1 for escape in escapes):
        raise semantic("'parse-kv' operator: 'escape' must have one character", node.at)
    if escapes and not quotes:
        raise semantic("'parse-kv' operator: 'escape' needs a 'quote'", node.at)
    greedy = any(literal.value for literal in node.properties.get("greedy", []))
    if greedy and pair is None:
        raise semantic("'parse-kv' operator: 'greedy' needs delimiters", node.at)
    form = {"keys": names, "pair": pair, "kv": kv, "quotes": quotes, "escapes": escapes, "greedy": greedy}
    return plan.Call(KqlType.DYNAMIC, VALUES, (subject, plan.Constant(KqlType.DYNAMIC, json.dumps(form))))


OPERATORS = (TabularOperator("parse-kv", ParseKv, _parse, _bind),)
