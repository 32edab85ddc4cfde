"""Predicates of search and find: terms that any column may hold, over tables that do not all have the same columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.any_column import any_column
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic
from lurewire.kql.expression_parser import INFIX, STRING, Infix
from lurewire.kql.functions import FUNCTIONS
from lurewire.kql.scope import ERROR, Rows
from lurewire.kql.types import KqlType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_INFIX = {**INFIX, ":": Infix(STRING)}
_BOOL = KqlType.BOOL
_BETWEEN = "\n"
_TEXT_WORD = re.compile(r"!?(has|hasprefix|hassuffix|contains|startswith|endswith)")
_SENSITIVE = {"=~": "==", "!~": "!=", "in~": "in", "!in~": "!in"}


class TermBinder(ExpressionBinder):
    """Binds such a predicate over one table.

    `absent` are the columns that only other tables have, null here. `referenced` and `everywhere` say, once it is bound,
    which columns it names and whether it looks at all.
    """

    def __init__(
        self, context: Context, rows: Rows, operator: str, absent: Mapping[str, KqlType], *, sensitive: bool
    ) -> None:
        super().__init__(context, rows, operator)
        self._absent = absent
        self._sensitive = sensitive
        self.referenced: set[str] = set()
        self.everywhere = False

    def condition(self, node: tree.Expression) -> plan.Scalar:
        """A predicate, in which a string stands for a term in any column and `*` for every row."""
        match node:
            case tree.Parenthesis(inner=inner):
                return self.condition(inner)
            case tree.Logic(operator=operator, operands=operands):
                return plan.Logic(_BOOL, operator, tuple(self.condition(operand) for operand in operands))
            case tree.Call(name="not", arguments=(argument,)):
                inner_value = self.condition(argument)
                return ERROR if inner_value is ERROR else plan.Not(_BOOL, inner_value)
            case tree.Literal(type=KqlType.STRING, value=str(term)):
                return self._anywhere(term, node.at)
            case tree.Star():
                self.everywhere = True
                return plan.Constant(_BOOL, True)
            case _:
                return self.boolean(node, f"'{self.operator}' operator: the predicate")

    def name(self, node: tree.Name) -> plan.Scalar:
        """A column of this table or of another, or the value of a let."""
        if node.name in self._columns:
            self.referenced.add(node.name)
        elif node.name in self._absent:
            self.referenced.add(node.name)
            kind = self._absent[node.name]
            return plan.Constant(kind, "" if kind is KqlType.STRING else None)
        return super().name(node)

    def binary(self, node: tree.Binary) -> plan.Scalar:
        """Infix operators; `column: "term"` is one of them."""
        if isinstance(node.left, tree.Star):
            self.everywhere = True
        if node.operator == ":":
            subject = self.bind(node.left)
            if not isinstance(node.right, tree.Literal) or not isinstance(node.right.value, str):
                raise semantic("':' takes a term in quotes", node.at)
            return ERROR if subject is ERROR else self._holds([to(subject, KqlType.STRING)], node.right.value)
        operator = node.operator
        if self._sensitive:
            cased = f"{operator}_cs" if _TEXT_WORD.fullmatch(operator) else operator
            operator = _SENSITIVE.get(operator, cased)
        return super().binary(replace(node, operator=operator))

    def membership(self, node: tree.Membership) -> plan.Scalar:
        """`in` and its kin."""
        if isinstance(node.subject, tree.Star):
            self.everywhere = True
            return any_column(self, node)
        operator = _SENSITIVE.get(node.operator, node.operator) if self._sensitive else node.operator
        return super().membership(replace(node, operator=operator))

    def _anywhere(self, term: str, at: int) -> plan.Scalar:
        self.everywhere = True
        columns = () if self.rows is None else self.rows.columns
        self.context.count(len(columns) or 1, at)
        texts = [to(plan.ColumnRef(c.type, c.id), KqlType.STRING) for c in columns]
        if len(texts) > 1 and _BETWEEN not in term:
            # A line's end is no part of a term, no expression here reaches over it, and it begins and ends a term.
            together = plan.Call(
                KqlType.STRING, FUNCTIONS["strcat_delim"], (plan.Constant(KqlType.STRING, _BETWEEN), *texts)
            )
            return self._holds([together], term)
        return self._holds(texts, term)

    def _holds(self, subjects: Sequence[plan.Scalar], term: str) -> plan.Scalar:
        """Whether one of the texts holds a term, whose `*` stand for any characters."""
        body = term.strip("*")
        constant = plan.Constant(KqlType.STRING, body)
        found: list[plan.Scalar] = []
        if "*" in body:
            constant = plan.Constant(KqlType.STRING, _expression(term, sensitive=self._sensitive))
            found.extend(plan.RegexMatch(_BOOL, subject, constant) for subject in subjects)
        else:
            kind = _KINDS[term.startswith("*"), term.endswith("*")]
            found.extend(plan.TextMatch(_BOOL, kind, self._sensitive, subject, (constant,)) for subject in subjects)
        if not found:
            return plan.Constant(_BOOL, False)
        return found[0] if len(found) == 1 else plan.Logic(_BOOL, "or", tuple(found))


#: The string operator of a term, by whether `*` stands before it and after it.
_KINDS = {(False, False): "has", (True, False): "hassuffix", (False, True): "hasprefix", (True, True): "contains"}


def _expression(term: str, *, sensitive: bool) -> str:
    """The regular expression of a term with `*` inside: term boundaries where no `*` stands at its ends."""
    parts = [re.sub(r"([^\w\s])", r"\\\1", part, flags=re.ASCII) for part in re.split(r"\*+", term.strip("*"))]
    before = "" if term.startswith("*") else r"\b"
    after = "" if term.endswith("*") else r"\b"
    return ("" if sensitive else "(?i)") + before + ".*".join(parts) + after


def parse_predicate(parser: Parser) -> tree.Expression:
    """A predicate, in which `column: "term"` may stand."""
    parser.infix = _INFIX
    try:
        return parser.expression()
    finally:
        parser.infix = INFIX


@dataclass(slots=True)
class Matches:
    """Tables with the rows that match, the columns that the predicate names, and whether it looks at all of them."""

    legs: list[tuple[str, Rows]]
    named: set[str]
    everywhere: bool = False


def types_of(legs: Sequence[tuple[str, Rows]]) -> dict[str, KqlType]:
    """The type of every column of any of the tables; of several types, that of the first table that has it."""
    types: dict[str, KqlType] = {}
    for _, rows in legs:
        for column in (*rows.columns, *rows.hidden):
            types.setdefault(column.name, column.type)
    return types


def matching(
    predicate: tree.Expression,
    legs: Sequence[tuple[str, Rows]],
    context: Context,
    operator: str,
    *,
    sensitive: bool = False,
) -> Matches:
    """The rows for which a predicate is true.

    A table whose columns' types do not fit the predicate has no such row, unless it fits none of the tables.
    """
    types = types_of(legs)
    made = Matches([], set())
    fits = False
    for label, rows in legs:
        known = len(context.problems)
        binder = TermBinder(context, rows, operator, types, sensitive=sensitive)
        value = binder.condition(predicate)
        made.named.update(binder.referenced)
        made.everywhere = made.everywhere or binder.everywhere
        if len(context.problems) > known:
            first = context.problems[known:]
            del context.problems[known:]
            value = plan.Constant(_BOOL, False)
            if not fits and len(made.legs) + 1 == len(legs):
                context.problems.extend(first)
        else:
            fits = True
        matched = Rows(plan.Filter(rows.relation, value), rows.columns, rows.name, rows.hidden)
        made.legs.append((label, matched))
    return made
