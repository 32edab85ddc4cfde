"""`* has "x"`: a predicate that holds where it holds for any column."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import plan, tree
from .conversions import comparable, to
from .errors import Problem, semantic, unsupported
from .scope import ERROR
from .types import KqlType

if TYPE_CHECKING:
    from .binder import ExpressionBinder

#: The operators that take such a predicate.
_OPERATORS = frozenset({"where", "search", "find"})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_ARITHMETIC = frozenset("+-*/%")


def any_column(binder: ExpressionBinder, node: tree.Binary | tree.Membership) -> plan.Scalar:
    """The predicate for each column in the place of `*`, one of which must hold.

    String operators see every column as a text. Comparisons see the columns whose type can be compared.
    """
    if binder.rows is None or binder.operator not in _OPERATORS or node.operator in _ARITHMETIC:
        raise unsupported("'*' in an expression", node.at, "*")
    if isinstance(node, tree.Membership):
        texts = [tree.Call(node.at, "tostring", (tree.Name(node.at, column.name),)) for column in binder.rows.columns]
        return _one_of([binder.bind(replace(node, subject=text)) for text in texts])
    right = binder.bind(node.right)
    if right is ERROR:
        return ERROR
    found: list[plan.Scalar] = []
    for column in binder.rows.columns:
        left = plan.ColumnRef(column.type, column.id)
        if node.operator not in _COMPARISONS:
            found.append(binder.text_operator(node, to(left, KqlType.STRING), right))
            continue
        try:
            pair = comparable(left, right, node.operator, node.at)
        except Problem:
            continue
        found.append(plan.Compare(KqlType.BOOL, node.operator, *pair))
    if not found:
        raise semantic(f"'*' {node.operator}: no column can be compared with {right.type}", node.at)
    binder.context.count(len(found), node.at)
    return _one_of(found)


def _one_of(found: list[plan.Scalar]) -> plan.Scalar:
    if not found or ERROR in found:
        return ERROR if found else plan.Constant(KqlType.BOOL, False)
    return found[0] if len(found) == 1 else plan.Logic(KqlType.BOOL, "or", tuple(found))
