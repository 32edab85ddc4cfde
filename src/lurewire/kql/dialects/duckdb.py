"""The plan as DuckDB SQL: scalar expressions here, relations in `duckdb_relations.py`.

Nodes of sqlglot are built directly and printed once; literals and names are nodes, never text. SQL sees generated column
names only.
"""

from __future__ import annotations

import dataclasses
import decimal
import math
import uuid
from typing import TYPE_CHECKING, Protocol, TypeGuard, cast

from sqlglot import exp

from lurewire.kql import plan
from lurewire.kql.types import KqlType

from . import duckdb_convert, duckdb_text, sql
from .sql import Node, call, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lurewire.kql.literals import Value

NAME = "duckdb"

_COMPARISONS: dict[str, type[exp.Expression]] = {
    "==": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}


#: What multiplies and divides decimals, in Python: DuckDB has no room for the digits (see functions/decimals.py).
_DECIMALS = {"*": "kql_decimal_times", "/": "kql_decimal_by", "%": "kql_decimal_modulo"}


def literal(kind: KqlType, value: Value) -> Node:
    """A constant of a type."""
    if value is None:
        return sql.cast(exp.Null(), duckdb_convert.STORAGE[kind])
    if isinstance(value, bool):
        return sql.boolean(value)
    if isinstance(value, int):
        if value == -(2**63):
            return sql.cast(text(str(value)), sql.BIGINT)
        return sql.number(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return sql.cast(text(str(value)), sql.DOUBLE)
        return _real(value)
    if isinstance(value, decimal.Decimal):
        return sql.cast(text(f"{value:f}"), sql.decimal_type())
    if isinstance(value, uuid.UUID):
        return sql.cast(text(str(value)), sql.UUID)
    return text(value)


def _real(value: float) -> Node:
    digits = repr(abs(value))
    node = exp.Literal(this=digits if "e" in digits else f"{digits}e0", is_string=False)
    return exp.Paren(this=exp.Neg(this=node)) if math.copysign(1, value) < 0 else node


def _may_be_nan_above(value: plan.Compare, left: Node, right: Node) -> Node | None:
    """The side that would make a comparison true if it were NaN: DuckDB holds NaN equal to itself and above the rest."""
    if value.operator in (">", ">="):
        return None if isinstance(value.left, plan.Constant) else left
    if value.operator in ("<", "<="):
        return None if isinstance(value.right, plan.Constant) else right
    return None if plan.Constant in (type(value.left), type(value.right)) and not _is_nan(value) else left


def _is_nan(value: plan.Compare) -> bool:
    sides = (value.left, value.right)
    return any(
        isinstance(side, plan.Constant) and isinstance(side.value, float) and math.isnan(side.value) for side in sides
    )


def _with_terms_joined(value: plan.Logic) -> list[plan.Scalar]:
    """The operands; `x has a or x has b`, and `x !has a and x !has b`, search the column once."""
    joined: list[plan.Scalar] = []
    places: dict[tuple[plan.Scalar, str, bool], int] = {}
    for operand in value.operands:
        match = operand.value if value.operator == "and" and isinstance(operand, plan.Not) else operand
        if (match is operand) is (value.operator == "and") or not _looks_for_terms(match):
            joined.append(operand)
            continue
        place = places.setdefault((match.subject, match.kind, match.case_sensitive), len(joined))
        if place == len(joined):
            joined.append(operand)
            continue
        before = joined[place]
        known = before.value if isinstance(before, plan.Not) else before
        assert isinstance(known, plan.TextMatch)
        wider = dataclasses.replace(known, needles=known.needles + match.needles)
        joined[place] = plan.Not(KqlType.BOOL, wider) if isinstance(before, plan.Not) else wider
    return joined


def _looks_for_terms(value: plan.Scalar) -> TypeGuard[plan.TextMatch]:
    """Whether a value looks for any of some literal terms in a column."""
    return (
        isinstance(value, plan.TextMatch)
        and value.kind in _TERM_KINDS
        and isinstance(value.subject, plan.ColumnRef)
        and (not value.every or len(value.needles) == 1)
        and bool(value.needles)
        and all(isinstance(needle, plan.Constant) for needle in value.needles)
    )


_TERM_KINDS = frozenset({"has", "hasprefix", "hassuffix"})
#: Types kept as BIGINT.
_WIDE = frozenset({KqlType.LONG, KqlType.DATETIME, KqlType.TIMESPAN})


class Subquery(Protocol):
    """Lowers a column of a relation as a subquery."""

    def __call__(self, relation: plan.Relation, number: int, *, one: bool) -> Node:
        """The subquery, of the first row only with `one`."""


class Scalars:
    """Lowers scalar expressions over columns whose SQL is known."""

    def __init__(self, columns: Mapping[int, Node], subquery: Subquery, outer: Mapping[int, Node]) -> None:
        self.columns = columns
        #: The columns that hold the texts of paths and what was drawn, by identities: a path may hold what has no hash.
        self.apart: Mapping[int, int] = {}
        self._subquery = subquery
        #: Columns of the SELECTs around this one.
        self._outer = outer
        #: Conversions of columns and terms looked for in columns, by the column's node: unions have many alike.
        self._alike: dict[tuple[object, ...], tuple[Node, Node]] = {}

    def lower(self, value: plan.Scalar) -> Node:
        """The SQL of a value; a string is never null."""
        return _LOWER[type(value)](self, value)

    def predicate(self, value: plan.Scalar) -> Node:
        """The SQL of a condition of which only truth counts: false and null are the same, so that scans can prune."""
        if isinstance(value, plan.Logic):
            joined = [self.predicate(operand) for operand in _with_terms_joined(value)]
            return sql.both(*joined) if value.operator == "and" else sql.either(*joined)
        if isinstance(value, plan.Compare) and value.operator == "==" and value.left.type is not KqlType.REAL:
            return sql.binary(exp.EQ, self.operand(value.left), self.operand(value.right))
        if isinstance(value, plan.In):
            return self._in(value)
        if isinstance(value, plan.TextMatch):
            return self.text_match(value, predicate=True)
        return self.lower(value)

    def constant(self, value: plan.Constant) -> Node:
        """A literal of exactly its type: DuckDB would take a small number for an INTEGER."""
        node = literal(value.type, value.value)
        if value.type in _WIDE and value.value is not None and not isinstance(node, exp.Cast):
            return sql.cast(node, sql.BIGINT)
        return node

    def operand(self, value: plan.Scalar) -> Node:
        """A value beside one of its type, which says the type of a bare number too.

        An int beside a long stays one: the engine compares them as longs, and a column as such can prune a scan.
        """
        if isinstance(value, plan.Convert) and (value.type, value.value.type) == (KqlType.LONG, KqlType.INT):
            return self.lower(value.value)
        return literal(value.type, value.value) if isinstance(value, plan.Constant) else self.lower(value)

    def column(self, value: plan.ColumnRef) -> Node:
        """A column."""
        found = self.columns.get(value.id)
        return self._outer[value.id] if found is None else found

    def parameter(self, value: plan.Parameter) -> Node:
        """A named parameter; its type is said, or DuckDB would guess from its place."""
        return sql.cast(exp.Placeholder(this=value.name), duckdb_convert.STORAGE[value.type])

    def call(self, value: plan.Call) -> Node:
        """A function, by its registry row."""
        if id(value) in self.apart:
            return self.columns[self.apart[id(value)]]
        arguments = [self.lower(argument) for argument in value.arguments]
        node = value.function.lower[NAME](arguments, value)
        if value.type is not KqlType.STRING or value.function.never_null:
            return node
        if value.function.makes_null or any(plan.may_be_null(argument) for argument in value.arguments):
            return sql.or_empty(node)
        return node

    def convert(self, value: plan.Convert) -> Node:
        """A conversion; a path into a dynamic value is read as text at once."""
        inner = value.value
        if isinstance(inner, plan.ColumnRef):
            column = self.column(inner)
            return self._once(column, (inner.type, value.type), lambda: self._converted(value, column))
        if isinstance(inner, plan.Path) and value.type is not KqlType.DYNAMIC:
            node = duckdb_convert.from_dynamic_text(self.path_text(inner), value.type)
        else:
            return self._converted(value, self.lower(inner))
        if value.type is KqlType.STRING and plan.may_be_null(inner):
            return sql.or_empty(node)
        return node

    def _converted(self, value: plan.Convert, inner: Node) -> Node:
        node = duckdb_convert.convert(inner, value.value.type, value.type)
        return sql.or_empty(node) if value.type is KqlType.STRING and plan.may_be_null(value.value) else node

    def _once(self, subject: Node, what: tuple[object, ...], make: Callable[[], Node]) -> Node:
        """What is made of a node, made once; the node is kept with it, so that no other can take its identity."""
        key = (id(subject), *what)
        known = self._alike.get(key)
        if known is None:
            known = self._alike[key] = subject, make()
        return known[1]

    def arithmetic(self, value: plan.Arithmetic) -> Node:
        """`+ - * / %`, by the types of the operands."""
        left, right = self.lower(value.left), self.operand(value.right)
        if value.type is KqlType.DECIMAL and value.operator in _DECIMALS:
            texts = (sql.cast(side, sql.VARCHAR) for side in (left, right))
            return sql.cast(call(_DECIMALS[value.operator], *texts), sql.decimal_type())
        reals = KqlType.REAL in (value.left.type, value.right.type)
        match value.operator:
            case "+":
                node = sql.add(left, right)
            case "-":
                node = sql.subtract(left, right)
            case "*":
                node = sql.multiply(left, right)
            case "/":
                if value.type is KqlType.REAL:
                    return sql.binary(exp.Div, sql.cast(left, sql.DOUBLE), sql.cast(right, sql.DOUBLE))
                if not reals:
                    return sql.whole_divide(left, sql.null_if_zero(right))
                node = sql.binary(exp.Div, left, right)
            case _:
                return sql.mod_positive(left, right)
        if value.type is KqlType.DECIMAL:
            return sql.cast(node, sql.decimal_type())
        if reals and value.type is not KqlType.REAL:
            return sql.try_cast(call("trunc", node), duckdb_convert.STORAGE[value.type])
        return node

    def negate(self, value: plan.Negate) -> Node:
        """`-x`."""
        return exp.Paren(this=exp.Neg(this=sql.atom(self.lower(value.value))))

    def compare(self, value: plan.Compare) -> Node:
        """Equality says false of one null and null of two; the other comparisons say null of any."""
        left, right = self.operand(value.left), self.operand(value.right)
        kind = _COMPARISONS[value.operator]
        if value.left.type is KqlType.REAL:
            unordered = _may_be_nan_above(value, left, right)
            if unordered is not None:
                plain = self._compare(value, kind, left, right)
                if value.operator == "!=":
                    return sql.either(plain, call("isnan", unordered))
                return sql.both(plain, sql.negation(call("isnan", unordered)))
        return self._compare(value, kind, left, right)

    def _compare(self, value: plan.Compare, kind: type[exp.Expression], left: Node, right: Node) -> Node:
        nulls = plan.may_be_null(value.left), plan.may_be_null(value.right)
        if value.operator not in ("==", "!=") or not any(nulls):
            return sql.binary(kind, left, right)
        safe = sql.binary(exp.NullSafeEQ if value.operator == "==" else exp.NullSafeNEQ, left, right)
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

    def text_match(self, value: plan.TextMatch, *, predicate: bool = False) -> Node:
        """The string operators; with `predicate` false and null count the same."""
        subject = self.lower(value.subject)
        if all(isinstance(needle, plan.Constant) for needle in value.needles):
            what = (value.kind, value.case_sensitive, value.needles, value.every, predicate)
            return self._once(subject, what, lambda: self._text_match(value, subject, predicate=predicate))
        return self._text_match(value, subject, predicate=predicate)

    def _text_match(self, value: plan.TextMatch, subject: Node, *, predicate: bool) -> Node:
        needle = value.needles[0] if value.needles else None
        if predicate and value.kind == "contains" and not value.case_sensitive and isinstance(needle, plan.Constant):
            return duckdb_text.contained(subject, cast("str", needle.value))
        if value.kind not in _TERM_KINDS:
            return duckdb_text.substring(value.kind, value.case_sensitive, subject, self.lower(value.needles[0]))
        constants = [needle for needle in value.needles if isinstance(needle, plan.Constant)]
        others = [needle for needle in value.needles if not isinstance(needle, plan.Constant)]
        conditions = []
        if constants or not others:
            needles = [cast("str", needle.value) for needle in constants]
            found = duckdb_text.terms(
                value.kind, value.case_sensitive, subject, needles, every=value.every, predicate=predicate
            )
            conditions.append(found)
        conditions.extend(
            duckdb_text.term_of(value.kind, value.case_sensitive, subject, self.lower(needle)) for needle in others
        )
        return sql.both(*conditions) if value.every else sql.either(*conditions)

    def terms_in_array(self, value: plan.TermsInArray) -> Node:
        """`has_any` and `has_all` over an array."""
        array = duckdb_convert.text_list(self.lower(value.array))
        return duckdb_text.terms_in_list(self.lower(value.subject), array, every=value.every)

    def regex(self, value: plan.RegexMatch) -> Node:
        """`matches regex`: RE2 on both sides."""
        return call("regexp_matches", self.lower(value.subject), self.lower(value.pattern))

    def in_list(self, value: plan.In) -> Node:
        """`in`: false, never null, for a null subject."""
        node = self._in(value)
        if any(plan.may_be_null(operand) for operand in (value.subject, *value.items)):
            return sql.coalesce(node, sql.boolean(False))
        return node

    def _in(self, value: plan.In) -> Node:
        if not value.items:
            return sql.boolean(False)
        subject = duckdb_text.folded(self.operand(value.subject), value.case_sensitive)
        items = [duckdb_text.folded(self.operand(item), value.case_sensitive) for item in value.items]
        return exp.In(this=sql.atom(subject), expressions=items)

    def scalar_query(self, value: plan.ScalarQuery) -> Node:
        """A relation's first value; a string is empty where there is none."""
        node = self._subquery(value.relation, value.id, one=True)
        return sql.or_empty(node) if value.type is KqlType.STRING else node

    def in_query(self, value: plan.InQuery) -> Node:
        """`in` over a column of a relation: false, never null."""
        rows = self._subquery(value.relation, value.id, one=False)
        subject = self.lower(value.subject)
        if not value.case_sensitive:
            alias, name = "q", "v"
            rows.set("alias", exp.TableAlias(this=sql.identifier(alias)))
            lowered = exp.Alias(this=sql.call("lower", sql.column(alias, name)), alias=sql.identifier(name))
            rows = exp.Subquery(this=exp.Select(expressions=[lowered], from_=exp.From(this=rows)))
            subject = sql.call("lower", subject)
        node = exp.In(this=sql.atom(subject), query=rows)
        return sql.coalesce(node, sql.boolean(False))

    def in_array(self, value: plan.InArray) -> Node:
        """`in` over an array."""
        items = duckdb_convert.text_list(self.lower(value.array))
        if not value.case_sensitive:
            items = call("list_transform", items, sql.lambda_("e", call("lower", sql.variable("e"))))
        subject = duckdb_text.folded(self.lower(value.subject), value.case_sensitive)
        return sql.coalesce(call("list_contains", items, subject), sql.boolean(False))

    def bin(self, value: plan.Bin) -> Node:
        """Whole numbers by modulo, so that no rounding comes in; a size that is not above zero gives null."""
        source, size = self.lower(value.value), self.operand(value.size)
        if value.type in (KqlType.REAL, KqlType.DECIMAL):
            node = sql.multiply(call("floor", sql.binary(exp.Div, source, sql.cast(size, sql.DOUBLE))), size)
            if value.type is KqlType.DECIMAL:
                node = sql.try_cast(node, sql.decimal_type())
        elif value.value.type is KqlType.DATETIME:
            node = sql.subtract(source, sql.modulo(source, sql.null_if_zero(size)))
        else:
            node = sql.subtract(source, sql.mod_positive(source, size))
        constant = value.size.value if isinstance(value.size, plan.Constant) else None
        if constant is not None and not isinstance(constant, str | uuid.UUID) and constant > 0:
            return node
        return sql.case([(sql.binary(exp.GT, size, sql.number(0)), node)])

    def path_text(self, value: plan.Path) -> Node:
        """What a path leads to as text, strings without quotes."""
        known = self.apart.get(id(value))
        return self._path(value, as_text=True) if known is None else self.columns[known]

    def path(self, value: plan.Path) -> Node:
        """Access into a dynamic value."""
        return self._path(value, as_text=False)

    def _path(self, value: plan.Path, *, as_text: bool) -> Node:
        steps = [(self.lower(step), step.type) if isinstance(step, plan.Scalar) else step for step in value.steps]
        return duckdb_convert.path(self.lower(value.target), steps, as_text=as_text)

    def conditional(self, value: plan.Conditional) -> Node:
        """iff() and case()."""
        branches = [(self.predicate(condition), self.lower(then)) for condition, then in value.branches]
        return sql.case(branches, self.lower(value.otherwise))


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
        plan.TermsInArray: Scalars.terms_in_array,
        plan.RegexMatch: Scalars.regex,
        plan.In: Scalars.in_list,
        plan.InArray: Scalars.in_array,
        plan.ScalarQuery: Scalars.scalar_query,
        plan.InQuery: Scalars.in_query,
        plan.Bin: Scalars.bin,
        plan.Path: Scalars.path,
        plan.Conditional: Scalars.conditional,
    },
)
