"""The plan as ClickHouse SQL: scalar expressions here, relations in `clickhouse_relations.py`.

The second dialect: it shows that the plan is free of an engine. What it has no entry for is refused by name, never printed
as something near. Datetimes and timespans are Int64 ticks, dynamic values Nullable(String) of JSON, strings String; every
other column is Nullable.
"""

from __future__ import annotations

import decimal
import math
import uuid
from typing import TYPE_CHECKING, cast

from sqlglot import exp

from lurewire.kql import plan
from lurewire.kql.types import KqlType

from . import clickhouse_convert as convert
from . import sql
from .clickhouse_functions import FUNCTIONS
from .duckdb_text import term_pattern
from .refusals import NotPrinted
from .sql import Node, call, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lurewire.kql.literals import Value

NAME = "clickhouse"

_ORDERED: dict[str, type[exp.Expression]] = {"<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE}
_WHOLE = {"+": sql.add, "-": sql.subtract, "*": sql.multiply}


def literal(kind: KqlType, value: Value) -> Node:
    """A constant of exactly its type."""
    if value is None:
        return convert.typed(exp.Null(), kind)
    if isinstance(value, bool):
        return sql.boolean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return convert.typed(text(str(value)), kind)
    if isinstance(value, int | float | decimal.Decimal):
        return convert.typed(text(repr(value) if isinstance(value, float) else str(value)), kind)
    if isinstance(value, uuid.UUID):
        return convert.typed(text(str(value)), kind)
    return text(value)


class Scalars:
    """Lowers scalar expressions over columns whose SQL is known."""

    def __init__(self, columns: Mapping[int, Node]) -> None:
        self.columns = columns

    def lower(self, value: plan.Scalar) -> Node:
        """The SQL of a value; a string is never null. Raises NotPrinted."""
        found = _LOWER.get(type(value))
        if found is None:
            raise NotPrinted(NAME, _NAMES.get(type(value), type(value).__name__))
        return found(self, value)

    def predicate(self, value: plan.Scalar) -> Node:
        """The SQL of a condition of which only truth counts."""
        return self.lower(value)

    def constant(self, value: plan.Constant) -> Node:
        """A literal."""
        return literal(value.type, value.value)

    def column(self, value: plan.ColumnRef) -> Node:
        """A column."""
        return self.columns[value.id]

    def parameter(self, value: plan.Parameter) -> Node:
        """A named parameter."""
        return parameter(value.name)

    def call(self, value: plan.Call) -> Node:
        """A function, by the table of this dialect."""
        lower = FUNCTIONS.get(value.function.name)
        if lower is None:
            raise NotPrinted(NAME, f"{value.function.name}()")
        node = lower([self.lower(argument) for argument in value.arguments], value)
        nullable = value.function.makes_null or any(plan.may_be_null(argument) for argument in value.arguments)
        if value.type is KqlType.STRING and nullable and not value.function.never_null:
            return convert.or_empty(node)
        return node

    def convert(self, value: plan.Convert) -> Node:
        """A conversion; a path into a dynamic value is read as text at once."""
        inner = value.value
        if isinstance(inner, plan.Path) and value.type is not KqlType.DYNAMIC:
            node = convert.from_text(self._path_text(inner), value.type)
        else:
            node = convert.convert(self.lower(inner), inner.type, value.type)
        return convert.or_empty(node) if value.type is KqlType.STRING and plan.may_be_null(inner) else node

    def arithmetic(self, value: plan.Arithmetic) -> Node:
        """Whole numbers are computed in 128 bits and must fit 64: ClickHouse would wrap around in silence."""
        left, right, operator = self.lower(value.left), self.lower(value.right), value.operator
        if KqlType.DECIMAL in (value.type, value.left.type, value.right.type):
            raise NotPrinted(NAME, "decimal arithmetic")
        if value.type is KqlType.REAL:
            left, right = (convert.typed(side, KqlType.REAL) for side in (left, right))
            if operator in _WHOLE:
                return _WHOLE[operator](left, right)
            if operator == "/":
                return sql.binary(exp.Div, left, right)
            return call("positiveModulo", left, call("abs", right))
        if KqlType.REAL in (value.left.type, value.right.type):
            raise NotPrinted(NAME, f"{operator} of a timespan and a real")
        if operator in _WHOLE:
            wide = _WHOLE[operator](call("toInt128", left), call("toInt128", right))
            return call("accurateCast", wide, text(convert.STORAGE[value.type]))
        if operator == "/":
            return call("intDiv", left, convert.null_if_zero(right))
        return call("positiveModulo", left, call("abs", convert.null_if_zero(right)))

    def negate(self, value: plan.Negate) -> Node:
        """`-x`."""
        node = self.lower(value.value)
        if value.type in (KqlType.REAL, KqlType.DECIMAL):
            return exp.Paren(this=exp.Neg(this=sql.atom(node)))
        wide = sql.subtract(call("toInt128", sql.number(0)), call("toInt128", node))
        return call("accurateCast", wide, text(convert.STORAGE[value.type]))

    def compare(self, value: plan.Compare) -> Node:
        """Equality says false of one null and null of two; the other comparisons say null of any."""
        left, right = self.lower(value.left), self.lower(value.right)
        if value.operator in _ORDERED:
            return sql.binary(_ORDERED[value.operator], left, right)
        unequal = value.operator == "!="
        plain = sql.binary(exp.NEQ if unequal else exp.EQ, left, right)
        nulls = plan.may_be_null(value.left), plan.may_be_null(value.right)
        if not any(nulls):
            return plain
        safe = sql.coalesce(plain, sql.boolean(unequal))
        if all(nulls):
            return sql.case([(sql.both(sql.is_null(left), sql.is_null(right)), exp.Null())], safe)
        return safe

    def logic(self, value: plan.Logic) -> Node:
        """`and`, `or`: null only where the other side does not decide."""
        joined = [self.lower(operand) for operand in value.operands]
        return sql.both(*joined) if value.operator == "and" else sql.either(*joined)

    def negation(self, value: plan.Not) -> Node:
        """`not(x)`."""
        return sql.negation(self.lower(value.value))

    def text_match(self, value: plan.TextMatch) -> Node:
        """The string operators."""
        subject = self.lower(value.subject)
        conditions = [self._needle(value, subject, needle) for needle in value.needles]
        if not conditions:
            return sql.boolean(value.every)
        return sql.both(*conditions) if value.every else sql.either(*conditions)

    def _needle(self, value: plan.TextMatch, subject: Node, needle: plan.Scalar) -> Node:
        if value.kind in ("has", "hasprefix", "hassuffix"):
            if not isinstance(needle, plan.Constant):
                raise NotPrinted(NAME, f"{value.kind} with a needle that is not a literal")
            case = "(?s)" if value.case_sensitive else "(?is)"
            return call("match", subject, text(case + term_pattern(value.kind, str(needle.value))))
        left, right = self.lower(value.subject), self.lower(needle)
        if not value.case_sensitive:
            left, right = call("lowerUTF8", left), call("lowerUTF8", right)
        if value.kind == "equals":
            return sql.equal(left, right)
        if value.kind == "contains":
            return sql.binary(exp.GT, call("position", left, right), sql.number(0))
        return call({"startswith": "startsWith", "endswith": "endsWith"}[value.kind], left, right)

    def regex(self, value: plan.RegexMatch) -> Node:
        """RE2 as in KQL; only that ClickHouse's dot matches a line break unless it is told."""
        return call("match", self.lower(value.subject), call("concat", text("(?-s)"), self.lower(value.pattern)))

    def in_list(self, value: plan.In) -> Node:
        """`in`: false, never null, for a null subject."""
        if not value.items:
            return sql.boolean(False)
        subject, items = self.lower(value.subject), [self.lower(item) for item in value.items]
        if not value.case_sensitive:
            subject, items = call("lowerUTF8", subject), [call("lowerUTF8", item) for item in items]
        conditions = [sql.coalesce(sql.equal(subject, item), sql.boolean(False)) for item in items]
        return sql.either(*conditions)

    def bin(self, value: plan.Bin) -> Node:
        """Whole numbers by modulo; a size that is not above zero gives null."""
        if value.type in (KqlType.REAL, KqlType.DECIMAL):
            raise NotPrinted(NAME, f"bin() of a {value.type}")
        source, size = self.lower(value.value), self.lower(value.size)
        node = sql.subtract(source, call("positiveModulo", source, convert.null_if_zero(size)))
        return sql.case([(sql.binary(exp.GT, size, sql.number(0)), convert.typed(node, value.type))])

    def path(self, value: plan.Path) -> Node:
        """Access into a dynamic value."""
        return convert.path(self.lower(value.target), self._steps(value), as_text=False)

    def _path_text(self, value: plan.Path) -> Node:
        return convert.path(self.lower(value.target), self._steps(value), as_text=True)

    def _steps(self, value: plan.Path) -> list[str | int]:
        steps: list[str | int] = []
        for step in value.steps:
            if isinstance(step, plan.Scalar):
                raise NotPrinted(NAME, "a path step that is not a literal")
            steps.append(step)
        return steps

    def conditional(self, value: plan.Conditional) -> Node:
        """iff() and case()."""
        branches = [(self.lower(condition), self.lower(then)) for condition, then in value.branches]
        return sql.case(branches, self.lower(value.otherwise))


def parameter(name: str) -> Node:
    """A value that the caller passes, Int64."""
    return exp.Placeholder(this=name, kind=exp.DataType(this=exp.DType.BIGINT, nullable=False))


_LOWER: dict[type, Callable[[Scalars, plan.Scalar], Node]] = cast(
    "dict[type, Callable[[Scalars, plan.Scalar], Node]]",
    {
        plan.Constant: Scalars.constant,
        plan.ColumnRef: Scalars.column,
        plan.Parameter: Scalars.parameter,
        plan.Call: Scalars.call,
        plan.Convert: Scalars.convert,
        plan.Arithmetic: Scalars.arithmetic,
        plan.Negate: Scalars.negate,
        plan.Compare: Scalars.compare,
        plan.Logic: Scalars.logic,
        plan.Not: Scalars.negation,
        plan.TextMatch: Scalars.text_match,
        plan.RegexMatch: Scalars.regex,
        plan.In: Scalars.in_list,
        plan.Bin: Scalars.bin,
        plan.Path: Scalars.path,
        plan.Conditional: Scalars.conditional,
    },
)

#: How people call what this dialect does not print.
_NAMES: dict[type, str] = {
    plan.TermsInArray: "has_any over an array",
    plan.InArray: "in over an array",
    plan.InQuery: "in over a table",
    plan.ScalarQuery: "toscalar()",
}
