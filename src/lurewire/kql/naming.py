"""Automatic column names.

The rules are those of the published analyser (https://github.com/microsoft/Kusto-Query-Language, result name kinds).
"""

from __future__ import annotations

from . import tree
from .types import KqlType


def result_name(node: tree.Node) -> str | None:
    """The name of an expression's column when the query gives none; None where there is no rule."""
    match node:
        case tree.Parenthesis(inner=inner):
            return result_name(inner)
        case tree.Name(name=name):
            return name
        case tree.Named(names=names):
            return names[0]
        case tree.Member(target=target, name=name):
            return _joined(target, name)
        case tree.Index(target=target, index=tree.Literal(type=KqlType.STRING | KqlType.LONG, value=value)):
            return _joined(target, str(value))
        case tree.Index(target=target):
            return _joined(target, "")
        case tree.Call():
            return _call_name(node)
        case _:
            return None


def _call_name(call: tree.Call) -> str | None:
    from .functions import AGGREGATES, FUNCTIONS  # noqa: PLC0415 - the registry's rows bind through modules that name columns

    aggregate, row = AGGREGATES.get(call.name), FUNCTIONS.get(call.name)
    if aggregate is not None and row is not None and len(call.arguments) > len(aggregate.params):
        aggregate = None  # hll_merge() and its kin: over rows with one argument, over arguments with several
    if aggregate is not None and aggregate.prefix is not None:
        return aggregate_name(aggregate.prefix, call.arguments)
    if row is None or row.naming == "default":
        return None
    if row.naming == "only":
        return row.label or row.name
    inner = result_name(call.arguments[0]) if call.arguments else None
    return f"{row.label or row.name}_{inner or ''}" if row.naming == "prefix_first" else inner


def aggregate_name(prefix: str, arguments: tuple[tree.Expression, ...]) -> str:
    """`sum_x`, `count_`."""
    return f"{prefix}_{(result_name(arguments[0]) or '') if arguments else ''}"


def _joined(target: tree.Expression, name: str) -> str | None:
    left = result_name(target)
    return f"{left}_{name}" if left else name or None
