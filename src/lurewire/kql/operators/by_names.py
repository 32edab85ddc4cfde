"""The project-by-names operator: columns by literal names, patterns and arrays of names.

Source: https://learn.microsoft.com/kusto/query/project-by-names-operator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.errors import Problem, unsupported
from lurewire.kql.scope import ERROR, Rows
from lurewire.kql.types import KqlType

from .columns import match_patterns
from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class ProjectByNames(tree.Operator):
    """`project-by-names names, ...`."""

    names: tuple[tree.Expression, ...]


def _parse(parser: Parser, name: Token) -> ProjectByNames:
    return ProjectByNames(name.at, parser.comma_list(parser.expression))


def _names(value: plan.Scalar, at: int) -> list[str]:
    """The names that a specifier gives."""
    if value is ERROR:
        return []
    if isinstance(value, plan.Constant) and isinstance(value.value, str):
        if value.type is KqlType.STRING:
            return [value.value]
        held = json.loads(value.value)
        if value.type is KqlType.DYNAMIC and isinstance(held, list):
            return [name for name in held if isinstance(name, str)]
    raise unsupported("'project-by-names' with names that are not literal", at)


def _bind(node: ProjectByNames, rows: Rows, context: Context) -> Rows:
    binder = ExpressionBinder(context, None, "project-by-names")
    chosen: list[plan.Output] = []
    for item in node.names:
        for name in _names(binder.bind(item), item.at):
            try:
                found = match_patterns(tree.Pattern(item.at, name), rows, "project-by-names")
            except Problem:
                # Names without a column are left out.
                continue
            chosen.extend(column for column in found if column not in chosen)
    return Rows(rows.relation, tuple(chosen))


OPERATORS = (TabularOperator("project-by-names", ProjectByNames, _parse, _bind, selects=True),)
