"""Scalar expressions: names to columns and lets, calls to registry rows, operands to the types that operators take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from . import plan, tree
from .any_column import any_column
from .conversions import arithmetic, comparable, to
from .errors import (
    ARGUMENT,
    TRANSFORM,
    UNKNOWN_FUNCTION,
    UNRESOLVED,
    Problem,
    nearest,
    semantic,
    unsupported,
)
from .known_names import AGGREGATES as KNOWN_AGGREGATES
from .known_names import FUNCTIONS as KNOWN_FUNCTIONS
from .known_names import SERVICE_FUNCTIONS
from .scope import ERROR
from .types import INTEGERS, NUMBERS, KqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .functions.registry import Function, Param
    from .scope import Context, Rows

_TEXT_KINDS = ("has", "hasprefix", "hassuffix", "contains", "startswith", "endswith")


class ExpressionBinder:
    """Binds the expressions of one operator over its input's columns."""

    def __init__(self, context: Context, rows: Rows | None, operator: str) -> None:
        self.context = context
        self.rows = rows
        self.operator = operator
        #: Window functions found so far, each the column of its own; None where the operator takes none.
        self.windows: list[tuple[int, plan.WindowCall]] | None = None
        self._columns = {} if rows is None else {column.name: column for column in (*rows.hidden, *rows.columns)}

    def bind(self, node: tree.Expression) -> plan.Scalar:
        """The bound expression; a problem below it is reported and stands as ERROR."""
        self.context.count(1, node.at)
        try:
            bound: plan.Scalar = getattr(self, _BINDERS[type(node)])(node)
        except Problem as problem:
            if problem.kind == "limit":
                raise
            self.context.report(problem)
            return ERROR
        return bound

    def boolean(self, node: tree.Expression, what: str) -> plan.Scalar:
        """An expression that must be true or false."""
        value = self.bind(node)
        if value.type is KqlType.DYNAMIC:
            return to(value, KqlType.BOOL)
        if value.type is not KqlType.BOOL:
            self.context.report(semantic(f"{what} must be a bool expression, not {value.type}", node.at))
        return value

    # Names

    def name(self, node: tree.Name) -> plan.Scalar:
        """A column, or the value of a let."""
        column = self._columns.get(node.name)
        if column is not None:
            erroneous = column.id in self.context.erroneous
            return ERROR if erroneous else plan.ColumnRef(column.type, column.id)
        scalar = self.context.scalars.get(node.name)
        if scalar is not None:
            names = self.context.names
            if names.row_bound.get(node.name, self.context.subqueries) != self.context.subqueries:
                message = f"'{node.name}' depends on the row of the caller, which a tabular expression cannot read"
                raise semantic(message, node.at, token=node.name)
            self.context.count(names.sizes.get(node.name, 1), node.at)
            return scalar
        if node.name in self.context.broken:
            return ERROR
        if node.name in self.context.names.functions:
            return self.call(tree.Call(node.at, node.name, ()))
        if node.name in self.context.relations:
            raise semantic(
                f"'{self.operator}' operator: '{node.name}' is a table, not a scalar", node.at, token=node.name
            )
        message = f"'{self.operator}' operator: Failed to resolve column or scalar expression named '{node.name}'"
        hint = nearest(node.name, [*self._columns, *self.context.scalars])
        raise semantic(message, node.at, UNRESOLVED, node.name, hint)

    def literal(self, node: tree.Literal) -> plan.Scalar:
        """A literal."""
        return plan.Constant(node.type, node.value)

    def parenthesis(self, node: tree.Parenthesis) -> plan.Scalar:
        """`(x)`."""
        return self.bind(node.inner)

    def named(self, node: tree.Named) -> plan.Scalar:
        """`f(name = value)`: functions of the engine take arguments by their place, whatever the name."""
        return self.bind(node.value)

    def refuse_star(self, node: tree.Star) -> plan.Scalar:
        """`*` in an expression."""
        raise unsupported("'*' in an expression", node.at, "*")

    def refuse_subquery(self, node: tree.Subquery) -> plan.Scalar:
        """A pipeline where a value is wanted."""
        raise unsupported("a tabular expression inside a scalar expression", node.at)

    # Operators

    def unary(self, node: tree.Unary) -> plan.Scalar:
        """`-x`, `+x`; a sign on a literal is part of it."""
        value = self.bind(node.operand)
        if value is ERROR:
            return value
        if value.type is KqlType.DYNAMIC:
            value = to(value, KqlType.REAL)
        if value.type not in NUMBERS | {KqlType.TIMESPAN}:
            raise semantic(f"'{node.operator}' cannot be applied to {value.type}", node.at, token=node.operator)
        if node.operator == "+":
            return value
        if isinstance(value, plan.Constant) and isinstance(value.value, int | float):
            return plan.Constant(value.type, -value.value)
        if value.type is KqlType.INT:
            value = to(value, KqlType.LONG)
        return plan.Negate(value.type, value)

    def binary(self, node: tree.Binary) -> plan.Scalar:
        """Arithmetic, comparisons and string operators."""
        self.allow_infix(node.operator, node.at)
        if isinstance(node.left, tree.Star):
            return any_column(self, node)
        left, right = self.bind(node.left), self.bind(node.right)
        if node.operator in ("+", "-", "*", "/", "%"):
            return arithmetic(node.operator, left, right, node.at)
        if node.operator in ("==", "!=", "<", "<=", ">", ">="):
            left, right = comparable(left, right, node.operator, node.at)
            return plan.Compare(KqlType.BOOL, node.operator, left, right)
        return self.text_operator(node, left, right)

    def text_operator(self, node: tree.Binary, left: plan.Scalar, right: plan.Scalar) -> plan.Scalar:
        """A string operator over bound operands."""
        subject, needle = self.text(left, node), self.text(right, node)
        if node.operator == "matches regex":
            return plan.RegexMatch(KqlType.BOOL, subject, needle)
        if node.operator in ("=~", "!~"):
            match: plan.Scalar = plan.TextMatch(KqlType.BOOL, "equals", False, subject, (needle,))
            return plan.Not(KqlType.BOOL, match) if node.operator == "!~" else match
        word = node.operator.removeprefix("!")
        kind = word.removesuffix("_cs")
        assert kind in _TEXT_KINDS
        match = plan.TextMatch(KqlType.BOOL, kind, word.endswith("_cs"), subject, (needle,))
        return plan.Not(KqlType.BOOL, match) if node.operator.startswith("!") else match

    def text(self, value: plan.Scalar, node: tree.Binary | tree.Membership) -> plan.Scalar:
        """An operand of a string operator."""
        if value.type not in (KqlType.STRING, KqlType.DYNAMIC):
            message = f"'{node.operator}' takes string values, not {value.type}. Try adding explicit casts"
            raise semantic(message, node.at, token=node.operator)
        return to(value, KqlType.STRING)

    def logic(self, node: tree.Logic) -> plan.Scalar:
        """`and`, `or`."""
        operands = tuple(self.boolean(operand, f"an operand of '{node.operator}'") for operand in node.operands)
        return plan.Logic(KqlType.BOOL, node.operator, operands)

    def between(self, node: tree.Between) -> plan.Scalar:
        """`between` with both ends; an end that is a timespan after a datetime counts from the low end."""
        self.allow_infix("!between" if node.negated else "between", node.at)
        subject, low, high = self.bind(node.subject), self.bind(node.low), self.bind(node.high)
        if ERROR in (subject, low, high):
            return ERROR
        if low.type is KqlType.DATETIME and high.type is KqlType.TIMESPAN:
            high = arithmetic("+", low, high, node.at)
        first = plan.Compare(KqlType.BOOL, ">=", *comparable(subject, low, ">=", node.at))
        second = plan.Compare(KqlType.BOOL, "<=", *comparable(subject, high, "<=", node.at))
        both = plan.Logic(KqlType.BOOL, "and", (first, second))
        return plan.Not(KqlType.BOOL, both) if node.negated else both

    def membership(self, node: tree.Membership) -> plan.Scalar:
        """`in`, `has_any` and `has_all`."""
        self.allow_infix(node.operator, node.at)
        if isinstance(node.subject, tree.Star):
            return any_column(self, node)
        subject = self.bind(node.subject)
        if len(node.items) == 1 and self.is_tabular(node.items[0]):
            return self._in_rows(node, subject)
        items = self._items(node)
        arrays = [item for item in items if item.type is KqlType.DYNAMIC and not isinstance(item, plan.Constant)]
        if node.operator in ("has_any", "has_all"):
            return self._terms(node, subject, items, arrays)
        negated = node.operator.startswith("!")
        sensitive = not node.operator.endswith("~")
        match: plan.Scalar
        if arrays and len(items) == 1:
            match = plan.InArray(KqlType.BOOL, sensitive, to(subject, KqlType.STRING), arrays[0])
        else:
            match = self._in_list(node, subject, items, sensitive)
        return plan.Not(KqlType.BOOL, match) if negated else match

    def _items(self, node: tree.Membership) -> list[plan.Scalar]:
        """The list, with arrays that are literals taken apart."""
        items: list[plan.Scalar] = []
        for item in node.items:
            if self.is_tabular(item):
                raise unsupported(f"'{node.operator}' with a tabular expression beside others", item.at)
            value = self.bind(item)
            if value is ERROR or value.type is not KqlType.DYNAMIC or not isinstance(value, plan.Constant):
                items.append(value)
                continue
            elements = json.loads(cast("str", value.value)) if value.value is not None else []
            items.extend(_constant(element) for element in (elements if isinstance(elements, list) else [elements]))
        return [item for item in items if item is not ERROR]

    def is_tabular(self, node: tree.Expression) -> bool:
        """Whether an item of a list is a table."""
        from .lets import (  # noqa: PLC0415 - lets bind through this module
            TABULAR_FUNCTIONS,
            call_gives_rows,
            gives_rows,
            scope_calls,
        )
        from .patterns import is_reference  # noqa: PLC0415 - as above

        while isinstance(node, tree.Parenthesis):
            node = node.inner
        if isinstance(node, tree.Subquery) or is_reference(node, self.context.names):
            return True
        if isinstance(node, tree.Call):
            return call_gives_rows(node.name, self.context)
        if isinstance(node, tree.Member):
            return scope_calls(node) is not None
        if not isinstance(node, tree.Name) or node.name in self._columns or node.name in self.context.scalars:
            return False
        if node.name in self.context.relations:
            return True
        if node.name not in self.context.names.functions and (
            node.name in TABULAR_FUNCTIONS or self.context.catalog.table(node.name) is not None
        ):
            return True
        function = self.context.function(node.name)
        return function is not None and gives_rows(node.name, function, self.context)

    def rows_of(self, node: tree.Expression) -> Rows:
        """A table in the place of a value, in the scope of its own: it reads no column of this row."""
        from .compiler import bind_source  # noqa: PLC0415 - the compiler knows all operators

        self.context.subqueries += 1
        try:
            return bind_source(node, self.context)
        finally:
            self.context.subqueries -= 1
            self.context.row_wise = False

    def _in_rows(self, node: tree.Membership, subject: plan.Scalar) -> plan.Scalar:
        """`in`, `has_any` and `has_all` over the first column of a table."""
        from .functions import AGGREGATES  # noqa: PLC0415 - the registry's rows bind through this module

        rows = self.rows_of(node.items[0])
        if subject is ERROR:
            return ERROR
        if not rows.columns:
            raise semantic(f"'{node.operator}' needs a table with a column", node.at)
        column, source = rows.columns[0], rows.relation
        value: plan.Scalar = plan.ColumnRef(column.type, column.id)
        if column.type is KqlType.DYNAMIC and subject.type is not KqlType.DYNAMIC:
            # What make_set() gathered: arrays stand for their elements, as in a list that is written out.
            element = self.context.new_id()
            source = plan.Expand(
                source, (plan.Expansion(value, element),), pairs=False, index=self.context.new_id(), limit=None
            )
            value = plan.ColumnRef(KqlType.DYNAMIC, element)
        number = self.context.new_id()
        if node.operator in ("has_any", "has_all"):
            text = to(value, KqlType.STRING)
            call = plan.AggregateCall(AGGREGATES["make_set"], (text,), None, None, (number,), (KqlType.DYNAMIC,))
            terms = plan.Summarize(source, (), (call,))
            array = plan.ScalarQuery(KqlType.DYNAMIC, terms, number)
            return plan.TermsInArray(KqlType.BOOL, node.operator == "has_all", self.text(subject, node), array)
        sensitive = not node.operator.endswith("~")
        if not sensitive:
            subject, value = self.text(subject, node), to(value, KqlType.STRING)
        elif subject.type is not value.type:
            subject, value = comparable(subject, value, "in", node.at)
        relation = plan.Compute(source, ((number, value),))
        match = plan.InQuery(KqlType.BOOL, sensitive, subject, relation, number)
        return plan.Not(KqlType.BOOL, match) if node.operator.startswith("!") else match

    def _terms(
        self, node: tree.Membership, subject: plan.Scalar, items: list[plan.Scalar], arrays: list[plan.Scalar]
    ) -> plan.Scalar:
        every = node.operator == "has_all"
        subject = self.text(subject, node)
        if arrays:
            if len(items) > 1:
                raise unsupported(f"'{node.operator}' with several arrays", node.at, node.operator)
            return plan.TermsInArray(KqlType.BOOL, every, subject, arrays[0])
        needles = tuple(
            to(item, KqlType.STRING) if isinstance(item, plan.Constant) else self.text(item, node) for item in items
        )
        return plan.TextMatch(KqlType.BOOL, "has", False, subject, needles, every)

    def _in_list(
        self, node: tree.Membership, subject: plan.Scalar, items: Sequence[plan.Scalar], sensitive: bool
    ) -> plan.Scalar:
        if subject is ERROR:
            return ERROR
        if not sensitive:
            subject = self.text(subject, node)
        elif subject.type is KqlType.DYNAMIC and items:
            subject = to(subject, items[0].type)
        matching = []
        for item in items:
            if subject.type is KqlType.STRING and item.type is KqlType.DYNAMIC:
                matching.append(to(item, KqlType.STRING))
            elif subject.type in INTEGERS and item.type in NUMBERS:
                matching.append(item)
            elif subject.type is KqlType.STRING and isinstance(subject, plan.Constant):
                matching.append(to(item, KqlType.STRING))
            else:
                matching.append(comparable(subject, item, "in", node.at)[1])
        return plan.In(KqlType.BOOL, sensitive, subject, tuple(matching))

    # Paths

    def member(self, node: tree.Member) -> plan.Scalar:
        """`a.b`."""
        return self._access(node.target, node.name, node.at)

    def index(self, node: tree.Index) -> plan.Scalar:
        """`a[0]`, `a["b"]`, `a[expression]`."""
        index = self.bind(node.index)
        if index is ERROR:
            return ERROR
        step: str | int | plan.Scalar = index
        if (
            isinstance(index, plan.Constant)
            and isinstance(index.value, str | int)
            and not isinstance(index.value, bool)
        ):
            step = index.value
        elif index.type is KqlType.DYNAMIC:
            step = to(index, KqlType.STRING)
        elif index.type not in INTEGERS | {KqlType.STRING}:
            raise semantic(f"an index must be a string or a whole number, not {index.type}", node.at)
        return self._access(node.target, step, node.at)

    def _access(self, target_node: tree.Expression, step: str | int | plan.Scalar, at: int) -> plan.Scalar:
        target = self.bind(target_node)
        if target is ERROR:
            return ERROR
        if target.type is not KqlType.DYNAMIC:
            raise semantic(f"a path can only lead into a dynamic value, not into {target.type}", at)
        if isinstance(target, plan.Path):
            return plan.Path(KqlType.DYNAMIC, target.target, (*target.steps, step))
        return plan.Path(KqlType.DYNAMIC, target, (step,))

    # Calls

    def call(self, node: tree.Call) -> plan.Scalar:
        """A function of the registry."""
        from .functions import AGGREGATES, FUNCTIONS  # noqa: PLC0415 - the registry's rows bind through this module

        if node.name in self.context.names.functions:
            from .lets import call_value  # noqa: PLC0415 - lets bind through this module

            return call_value(self, node)
        row = FUNCTIONS.get(node.name)
        if row is None:
            if self.context.function(node.name) is not None:
                from .lets import call_value  # noqa: PLC0415 - as above

                return call_value(self, node)
            if node.name in AGGREGATES:
                raise semantic(f"'{node.name}' is an aggregate: it belongs in summarize", node.at, token=node.name)
            if node.name in self.context.broken:
                return ERROR
            raise self._unknown_function(node)
        allowed = self.context.profile.functions
        if allowed is not None and node.name not in allowed:
            message = f"the function '{node.name}' is not supported in transformations"
            raise Problem("unsupported", TRANSFORM, message, node.at, node.name)
        if node.name in self.context.profile.elsewhere:
            message = f"the function '{node.name}' is only available in transformations"
            raise Problem("unsupported", TRANSFORM, message, node.at, node.name)
        if not row.deterministic:
            self.context.deterministic = False
        if row.bind is not None:
            return row.bind(self, node, row)
        return self.plain_call(node, row)

    def plain_call(self, node: tree.Call, row: Function) -> plan.Scalar:
        """A call whose arguments are converted as the row's parameters say."""
        arguments = self.arguments(node, row)
        kind = row.result if isinstance(row.result, KqlType) else row.result(arguments)
        return ERROR if ERROR in arguments else plan.Call(kind, row, tuple(arguments))

    def arguments(self, node: tree.Call, row: Function) -> list[plan.Scalar]:
        """The bound arguments; their number and types are checked."""
        count = len(node.arguments)
        least = row.least if row.least is not None else len(row.params) - row.optional
        if count < least or (count > len(row.params) and not row.variadic):
            most = "more" if row.variadic else str(len(row.params))
            wanted = (
                str(least) if most == str(least) else f"{least} to {most}" if most != "more" else f"{least} or more"
            )
            noun = "argument" if wanted == "1" else "arguments"
            raise semantic(f"{node.name}(): expects {wanted} {noun}, not {count}", node.at, token=node.name)
        return [
            self.argument(argument, row.params[min(position, len(row.params) - 1)], node.name, position)
            for position, argument in enumerate(node.arguments)
        ]

    def argument(self, node: tree.Expression, param: Param, function: str, position: int) -> plan.Scalar:
        """One argument as its parameter wants it."""
        value = self.bind(node)
        if value is ERROR:
            return value
        what = f"{function}(): argument {position + 1} ('{param.name}')"
        if value.type not in param.accepts:
            wanted = ", ".join(sorted(param.accepts - {KqlType.DYNAMIC})) or "dynamic"
            self.context.report(semantic(f"{what} must be of type {wanted}, not {value.type}", node.at, ARGUMENT))
            return ERROR
        if param.convert is not None:
            value = to(value, param.convert)
        elif value.type is KqlType.DYNAMIC and KqlType.REAL in param.accepts and KqlType.STRING not in param.accepts:
            value = to(value, KqlType.REAL)
        if param.literal and not isinstance(value, plan.Constant):
            self.context.report(unsupported(f"{what}: an expression; a literal", node.at))
            return ERROR
        return value

    def _unknown_function(self, node: tree.Call) -> Problem:
        from .functions import FUNCTIONS  # noqa: PLC0415 - as in call()

        for argument in node.arguments:
            if not isinstance(argument, tree.Star | tree.Subquery | tree.Named):
                self.bind(argument)
        if node.name in SERVICE_FUNCTIONS:
            return of_service(node)
        if node.name in KNOWN_FUNCTIONS or node.name in KNOWN_AGGREGATES:
            return unsupported(f"the function '{node.name}'", node.at, node.name)
        hint = nearest(node.name, FUNCTIONS)
        return semantic(f"Unknown function: '{node.name}'", node.at, UNKNOWN_FUNCTION, node.name, hint)

    def allow_infix(self, operator: str, at: int) -> None:
        """Refuses an infix operator that the profile does not have."""
        allowed = self.context.profile.infix
        if allowed is not None and operator not in allowed:
            message = f"the operator '{operator}' is not supported in transformations"
            raise Problem("unsupported", TRANSFORM, message, at, operator)


def of_service(node: tree.Call) -> Problem:
    """The refusal of a function that only Microsoft's clouds have."""
    return unsupported(f"{node.name}(), which reads {SERVICE_FUNCTIONS[node.name]},", node.at, node.name)


def _constant(element: object) -> plan.Constant:
    """An element of a dynamic literal as a constant of its own type."""
    if isinstance(element, bool):
        return plan.Constant(KqlType.BOOL, element)
    if isinstance(element, int) and -(2**63) <= element < 2**63:
        return plan.Constant(KqlType.LONG, element)
    if isinstance(element, int | float):
        return plan.Constant(KqlType.REAL, float(element))
    if isinstance(element, str):
        return plan.Constant(KqlType.STRING, element)
    text = None if element is None else json.dumps(element, ensure_ascii=False, separators=(",", ":"))
    return plan.Constant(KqlType.DYNAMIC, text)


#: The method that binds each kind of tree node.
_BINDERS: dict[type, str] = {
    tree.Name: "name",
    tree.Literal: "literal",
    tree.Parenthesis: "parenthesis",
    tree.Named: "named",
    tree.Star: "refuse_star",
    tree.Subquery: "refuse_subquery",
    tree.Unary: "unary",
    tree.Binary: "binary",
    tree.Logic: "logic",
    tree.Between: "between",
    tree.Membership: "membership",
    tree.Member: "member",
    tree.Index: "index",
    tree.Call: "call",
}
