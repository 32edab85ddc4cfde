"""Declared patterns: tuples of strings that stand for tabular expressions.

Source: https://learn.microsoft.com/kusto/query/pattern-statement. Every clause becomes a function under the text of its
reference, which no name of the query can be, so that a reference is a call of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import plan, tree
from .binder import ExpressionBinder
from .errors import ARGUMENT, PATTERN, Consequence, semantic
from .scope import UserFunction
from .types import KqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scope import Context, Names


def declare(node: tree.PatternDeclaration, context: Context) -> None:
    """Puts a pattern in place; raises Problem where it is not well formed."""
    names = context.names
    names.forget(node.name)
    names.patterns[node.name] = node
    names.broken.add(node.name)
    declared = (*node.parameters, node.path) if node.path is not None else node.parameters
    for parameter in declared:
        if parameter.type is not KqlType.STRING:
            raise semantic(f"the parameter '{parameter.name}' of a pattern must be a string", parameter.at)
    for clause in node.clauses:
        if len(clause.values) != len(node.parameters) or (clause.path is None) != (node.path is None):
            raise semantic(f"the clause does not fit the parameters of the pattern '{node.name}'", clause.at, ARGUMENT)
        key = _reference(node.name, clause.values, clause.path)
        if key in names.functions:
            raise semantic(f"the pattern reference {key} is defined twice", clause.at, ARGUMENT, key)
        names.functions[key] = UserFunction(clause.body, names.copy())
    names.broken.discard(node.name)


def is_reference(node: tree.Expression, names: Names) -> bool:
    """Whether an expression refers to a pattern."""
    if isinstance(node, tree.Member) and node.call is None:
        node = node.target
    return isinstance(node, tree.Call) and node.name in names.patterns


def resolved(node: tree.Expression, context: Context) -> tree.Call:
    """The call that a reference stands for; raises Problem where no clause has its values."""
    path = None
    call = node
    if isinstance(node, tree.Member):
        path, call = node.name, node.target
    assert isinstance(call, tree.Call)
    if call.name in context.broken:
        raise Consequence(call.at)
    values = tuple(_text(argument, call.name, context) for argument in call.arguments)
    key = _reference(call.name, values, path)
    if key not in context.names.functions:
        message = f'One or more pattern references were not declared. Detected pattern references: ["{key}"]'
        raise semantic(message, call.at, PATTERN, call.name)
    given = values if path is None else (*values, path)
    return tree.Call(call.at, key, tuple(tree.Literal(call.at, KqlType.STRING, value) for value in given))


def _text(node: tree.Expression, name: str, context: Context) -> str:
    value = ExpressionBinder(context, None, name).bind(node)
    if not isinstance(value, plan.Constant) or not isinstance(value.value, str) or value.type is not KqlType.STRING:
        raise semantic(f"'{name}': the arguments of a pattern must be string literals", node.at, token=name)
    return value.value


def _reference(name: str, values: Sequence[str], path: str | None) -> str:
    """A reference as Kusto writes it: `app('a','b').['path']`."""
    listed = ",".join(f"'{_escaped(value)}'" for value in values)
    return f"{name}({listed})" + ("" if path is None else f".['{_escaped(path)}']")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
