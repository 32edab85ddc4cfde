"""Operators that stand for the whole pipeline before them: as, which names it, and invoke, which passes it to a function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.errors import semantic
from lurewire.kql.lets import use
from lurewire.kql.scope import Rows, TabularLet
from lurewire.kql.token_reader import BOOLEANS

from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class As(tree.Operator):
    """`as name`; `pipeline` is what the name stands for. Materialized, its rows are the same wherever they are read."""

    name: str
    materialized: bool = False
    pipeline: tree.Pipeline | None = None


@dataclass(frozen=True, slots=True)
class Invoke(tree.Operator):
    """`invoke function(arguments)`."""

    call: tree.Call


def resolved(pipeline: tree.Pipeline) -> tree.Pipeline:
    """The pipeline with `invoke` as a call whose first argument is what comes before, and `as` knowing what it names."""
    source, operators = pipeline.source, list[tree.Operator]()
    for node in pipeline.operators:
        before = tree.Pipeline(pipeline.at, source, tuple(operators))
        if isinstance(node, Invoke):
            arguments = (tree.Subquery(node.at, before), *node.call.arguments)
            source, operators = replace(node.call, arguments=arguments), []
        else:
            operators.append(replace(node, pipeline=_named(node, before)) if isinstance(node, As) else node)
    return tree.Pipeline(pipeline.at, source, tuple(operators))


def _named(node: As, before: tree.Pipeline) -> tree.Pipeline:
    if not node.materialized:
        return before
    return tree.Pipeline(node.at, tree.Call(node.at, "materialize", (tree.Subquery(node.at, before),)), ())


def _parse_as(parser: Parser, name: Token) -> As:
    hint = parser.parameters().get("hint.materialized")
    materialized = BOOLEANS.get(hint.name) if isinstance(hint, tree.Name) else None
    if hint is not None and materialized is None:
        raise semantic("'as' operator: hint.materialized is true or false", hint.at)
    return As(name.at, parser.name(), bool(materialized))


def _bind_as(node: As, rows: Rows, context: Context) -> Rows:
    held = context.relations.get(node.name)
    # A later `as` binds the pipeline before it anew, with the names that are in it.
    if node.name in context.scalars or (held is not None and held.pipeline != node.pipeline):
        raise semantic(f"'as' operator: the name '{node.name}' is taken", node.at, token=node.name)
    if node.pipeline is not None and (held is None or not node.materialized):
        held = context.names.relations[node.name] = TabularLet(node.pipeline, context.names.copy())
    if node.materialized and held is not None:
        rows = use(held, context, node.at)
    return Rows(rows.relation, rows.columns, node.name)


def _parse_invoke(parser: Parser, name: Token) -> Invoke:
    at = parser.current.at
    call = parser.postfix()
    if not isinstance(call, tree.Call):
        raise semantic("'invoke' operator: a function with its arguments is expected", at)
    return Invoke(name.at, call)


def _bind_invoke(node: Invoke, rows: Rows, context: Context) -> Rows:
    """Only where no pipeline stands before it: inside mv-apply or a partition."""
    del rows, context
    raise semantic("'invoke' operator: there is no tabular expression before it", node.at)


OPERATORS = (
    TabularOperator("as", As, _parse_as, _bind_as),
    TabularOperator("invoke", Invoke, _parse_invoke, _bind_invoke, row_wise=False),
)
