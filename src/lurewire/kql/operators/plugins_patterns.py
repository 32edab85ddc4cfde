"""Plug-ins that find patterns of values: autocluster, basket, diffpatterns.

What their pages leave open is told in `functions/plugin_patterns.py`. Columns of type dynamic, the weight column and
values that are null are in no pattern; the split column of diffpatterns is not in its result, as in Microsoft's examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.errors import unsupported
from lurewire.kql.scope import ERROR, Rows
from lurewire.kql.types import INTEGERS, NUMBERS, KqlType

from .plugin_templates import OWN, Arguments, expression, number, rows_of
from .serialization import numbered

if TYPE_CHECKING:
    from lurewire.kql.scope import Context

    from .plugin_templates import Given
    from .plugins_columns import Schema

_MANY = 100
_DEFAULT = "~"
_LOWEST = 0.015
_DIMENSIONS = 5
_SIZE_WEIGHT = 0.5
#: How an element of a pattern becomes a value of its column again.
_AGAIN = {
    KqlType.BOOL: "tobool",
    KqlType.INT: "toint",
    KqlType.LONG: "tolong",
    KqlType.REAL: "todouble",
    KqlType.DECIMAL: "todecimal",
    KqlType.STRING: "tostring",
    KqlType.DATETIME: "todatetime",
    KqlType.TIMESPAN: "totimespan",
    KqlType.GUID: "toguid",
}


class _Call:
    """The arguments of one of the plug-ins, any of which may be `~` for its default."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments
        self.at = arguments.node.at

    def given(self, place: int) -> bool:
        """Whether there is an argument that is not the default."""
        if place >= len(self.arguments.node.arguments):
            return False
        value = self.arguments.value(place)
        return not (isinstance(value, tree.Literal) and value.value == _DEFAULT)

    def real(self, place: int, default: float, lowest: float) -> float:
        """A number up to 1."""
        if not self.given(place):
            return default
        value = self.arguments.constant(place, NUMBERS - {KqlType.DECIMAL})
        assert not isinstance(value, str)
        if not lowest <= value <= 1:
            raise self.arguments.wrong(place, f"must be from {lowest} to 1")
        return float(value)

    def whole(self, place: int, default: int) -> int:
        """A whole number above zero."""
        return int(self.arguments.span(place, INTEGERS)) if self.given(place) else default

    def weight(self, place: int) -> plan.Output | None:
        """The weight column."""
        return self.arguments.column(place, NUMBERS - {KqlType.DECIMAL}) if self.given(place) else None

    def wildcards(self, first: int) -> dict[KqlType, tree.Expression]:
        """The value that stands for any, by the type of the column."""
        binder = ExpressionBinder(self.arguments.context, None, self.arguments.node.name)
        found: dict[KqlType, tree.Expression] = {}
        for place in range(first, len(self.arguments.node.arguments)):
            if not self.given(place):
                continue
            value = binder.bind(self.arguments.value(place))
            if value is not ERROR and not isinstance(value, plan.Constant):
                what = f"{self.arguments.node.name}() with a wildcard that is not a literal"
                raise unsupported(what, self.arguments.node.arguments[place].at)
            if value.type in found:
                raise self.arguments.wrong(place, f"is a second wildcard of type {value.type}")
            found[value.type] = self.arguments.value(place)
        return found


def _own(name: str, at: int) -> tree.Name:
    return tree.Name(at, OWN + name)


def _gathered(call: _Call, columns: list[plan.Output], weights: list[tree.Expression], threshold: float) -> Rows:
    """One row: the array of all rows, each its weights and the texts of its columns' frequent values.

    What is rarer than the threshold for each of the weights is in no pattern, so that the rows become few.
    """
    arguments, at = call.arguments, call.at
    context = arguments.context
    texts = tuple(
        tree.Named(
            at,
            (f"{OWN}k{place}",),
            expression(
                'iff(isnull(VALUE), "", tostring(pack_array(VALUE)))', {"VALUE": tree.Name(at, column.name)}, at
            ),
        )
        for place, column in enumerate(columns)
    )
    made = tuple(tree.Named(at, (f"{OWN}w{place}",), weight) for place, weight in enumerate(weights))
    some = expression(" or ".join(f"_w{kind} > 0" for kind in range(len(weights))), {}, at)
    given: dict[str, Given] = {"WEIGHTS": made, "TEXTS": texts, "SOME": some}
    rows = rows_of("project WEIGHTS, TEXTS | where SOME", given, arguments.rows, context, at)
    outputs = {column.name: column for column in rows.columns}
    relation, ordinal = numbered(rows.relation, context)
    totals: list[tuple[int, plan.WindowCall]] = []
    columns_made = list(rows.columns)
    for kind in range(len(weights)):
        weight = outputs[f"{OWN}w{kind}"]
        for place in (None, *range(len(columns))):
            label = f"{OWN}t{kind}" if place is None else f"{OWN}t{kind}_{place}"
            group = None if place is None else outputs[f"{OWN}k{place}"]
            key = None if group is None else plan.ColumnRef(group.type, group.id)
            value = plan.ColumnRef(weight.type, weight.id)
            total = plan.WindowCall("total", KqlType.REAL, value, key)
            totals.append((context.new_id(), total))
            columns_made.append(plan.Output(label, totals[-1][0], KqlType.REAL))
    rows = Rows(plan.Window(relation, ordinal, tuple(totals)), tuple(columns_made))
    frequent = [
        " or ".join(f"_t{kind}_{place} >= THRESHOLD * _t{kind}" for kind in range(len(weights)))
        for place in range(len(columns))
    ]
    kept = tuple(
        tree.Named(
            at, (f"{OWN}k{place}",), expression(f'iff({test}, _k{place}, "")', {"THRESHOLD": number(threshold, at)}, at)
        )
        for place, test in enumerate(frequent)
    )
    names = tuple(_own(f"k{place}", at) for place in range(len(columns)))
    sums = tuple(
        tree.Named(at, (f"{OWN}w{kind}",), expression(f"sum(_w{kind})", {}, at)) for kind in range(len(weights))
    )
    cells = tuple(_own(f"w{kind}", at) for kind in range(len(weights)))
    return rows_of(
        "extend KEPT | summarize SUMS by NAMES | summarize _all = make_list_with_nulls(pack_array(CELLS, NAMES))",
        {"KEPT": kept, "SUMS": sums, "NAMES": names, "CELLS": cells},
        rows,
        context,
        at,
    )


def _weight(column: plan.Output | None, at: int) -> tree.Expression:
    """The weight of a row; one below zero counts as nothing."""
    if column is None:
        return tree.Literal(at, KqlType.REAL, 1.0)
    return expression("iff(VALUE > 0, todouble(VALUE), 0.0)", {"VALUE": tree.Name(at, column.name)}, at)


def _result(
    call: _Call,
    gathered: Rows,
    body: tree.Expression,
    numbers: tuple[tuple[str, str], ...],
    searched: list[plan.Output],
    shown: tuple[plan.Output, ...],
    wildcards: dict[KqlType, tree.Expression],
) -> Rows:
    """The patterns as rows: their number, what is counted, and for each column its value or the wildcard."""
    at = call.at
    made: list[tree.Expression] = [tree.Named(at, ("SegmentId",), _own("segment", at))]
    for place, (name, convert) in enumerate(numbers):
        made.append(tree.Named(at, (name,), expression(f"{convert}(_row[{place}])", {}, at)))
    for column in shown:
        wildcard = wildcards.get(column.type) or tree.Literal(
            at, column.type, "" if column.type is KqlType.STRING else None
        )
        value = wildcard
        if column in searched:
            element = f"_row[{len(numbers)}][{searched.index(column)}]"
            text = f"iff(isnull({element}), WILDCARD, {_AGAIN[column.type]}({element}[0]))"
            value = expression(text, {"WILDCARD": wildcard}, at)
        made.append(tree.Named(at, (column.name,), value))
    given: dict[str, Given] = {"BODY": body, "MADE": tuple(made)}
    text = "mv-expand with_itemindex=_segment _row = BODY | project MADE"
    return rows_of(text, given, gathered, call.arguments.context, at)


def _searched(rows: Rows, without: tuple[plan.Output | None, ...]) -> list[plan.Output]:
    return [column for column in rows.columns if column.type is not KqlType.DYNAMIC and column not in without]


def basket(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/basket-plugin."""
    call = _Call(Arguments.of(node, schema, rows, context, 0, _MANY))
    threshold = call.real(0, 0.05, _LOWEST)
    weight, dimensions, wildcards = call.weight(1), call.whole(2, _DIMENSIONS), call.wildcards(3)
    searched = _searched(rows, (weight,))
    gathered = _gathered(call, searched, [_weight(weight, node.at)], threshold)
    limits = {"THRESHOLD": number(threshold, node.at), "MOST": number(dimensions, node.at)}
    body = expression("_basket(_all, THRESHOLD, MOST)", limits, node.at)
    return _result(call, gathered, body, _COUNTED, searched, rows.columns, wildcards)


_COUNTED = (("Count", "tolong"), ("Percent", "todouble"))
_COMPARED = (
    ("CountA", "tolong"),
    ("CountB", "tolong"),
    ("PercentA", "todouble"),
    ("PercentB", "todouble"),
    ("PercentDiffAB", "todouble"),
)


def autocluster(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/autocluster-plugin.

    The search is exhaustive, so the number of seeds has no effect.
    """
    call = _Call(Arguments.of(node, schema, rows, context, 0, _MANY))
    size_weight = call.real(0, _SIZE_WEIGHT, 0)
    weight, _, wildcards = call.weight(1), call.whole(2, 1), call.wildcards(3)
    searched = _searched(rows, (weight,))
    gathered = _gathered(call, searched, [_weight(weight, node.at)], _LEAST)
    body = expression("_clusters(_all, SIZE)", {"SIZE": number(size_weight, node.at)}, node.at)
    return _result(call, gathered, body, _COUNTED, searched, rows.columns, wildcards)


#: The part of the rows that a pattern of autocluster covers at least.
_LEAST = 0.05


def diffpatterns(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/diffpatterns-plugin."""
    arguments = Arguments.of(node, schema, rows, context, 3, _MANY)
    call = _Call(arguments)
    split = arguments.column(0)
    sides = [arguments.typed(place, frozenset({KqlType.STRING})) for place in (1, 2)]
    weight, threshold = call.weight(3), call.real(4, 0.05, _LOWEST)
    dimensions, wildcards = call.whole(5, 0), call.wildcards(6)
    searched = _searched(rows, (weight, split))
    weights = [
        expression(
            "iff(tostring(SPLIT) == SIDE, WEIGHT, 0.0)",
            {"SPLIT": tree.Name(node.at, split.name), "SIDE": side, "WEIGHT": _weight(weight, node.at)},
            node.at,
        )
        for side in sides
    ]
    gathered = _gathered(call, searched, weights, threshold)
    limits = {"THRESHOLD": number(threshold, node.at), "MOST": number(dimensions, node.at)}
    body = expression("_differences(_all, THRESHOLD, MOST)", limits, node.at)
    shown = tuple(column for column in rows.columns if column != split)
    return _result(call, gathered, body, _COMPARED, searched, shown, wildcards)
