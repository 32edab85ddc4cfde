"""Relations of several inputs as DuckDB SQL: joins, expansions, applied subqueries and shared rows."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import limits, plan
from lurewire.kql.errors import over_limit
from lurewire.kql.types import KqlType

from . import duckdb_convert, sql
from .duckdb_select import Select, all_simple, read_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .duckdb import Scalars
    from .sql import Node

#: How each kind of join is written: side and kind.
_WRITTEN = {
    "inner": (None, "INNER"),
    "innerunique": (None, "INNER"),
    "leftouter": ("LEFT", None),
    "rightouter": ("RIGHT", None),
    "fullouter": ("FULL", None),
    "leftsemi": (None, "SEMI"),
    "rightsemi": (None, "SEMI"),
    "leftanti": (None, "ANTI"),
    "rightanti": (None, "ANTI"),
}


#: Numbers a column that no plan has.
_COUNT = 1_000_000_000_000


class Joins(ABC):
    """Lowers relations that bring several rows together, on top of what lowers single ones."""

    def __init__(self) -> None:
        self.shared: dict[int, tuple[str, Node]] = {}
        #: What a partition's subquery reads of the SELECT around it.
        self.outer: dict[int, Node] = {}
        self._inlined = 0
        self._elements: dict[int, Select] = {}

    @abstractmethod
    def _relation(self, relation: plan.Relation, needed: set[int]) -> Select: ...

    @abstractmethod
    def _wrap(self, select: Select, keep: set[int]) -> Select: ...

    @abstractmethod
    def _using(self, select: Select) -> Scalars: ...

    @abstractmethod
    def _alias(self) -> str: ...

    @abstractmethod
    def _finish(self, select: Select, items: list[Node]) -> Node: ...

    def _of_several(self, relation: plan.Relation, needed: set[int]) -> Select:
        match relation:
            case plan.Join():
                return self._join(relation, needed)
            case plan.Shared():
                return self._shared(relation)
            case plan.Elements():
                return self._lower_elements(relation, needed)
            case plan.Subtable():
                return self._subtable(relation)
            case plan.Partition():
                return self._partition(relation, needed)
            case _:
                raise AssertionError(type(relation))

    # Joins

    def _join(self, join: plan.Join, needed: set[int]) -> Select:
        left_keys, right_keys = [key for key, _ in join.keys], [key for _, key in join.keys]
        no_left, no_right = join.kind in ("rightouter", "fullouter"), join.kind in ("leftouter", "fullouter")
        left = self._side(join.left, join.left_columns, left_keys, needed, absent=no_left)
        right = self._side(join.right, join.right_columns, right_keys, needed, absent=no_right)
        if join.kind == "innerunique":
            left.distinct_on = self._keys(left, left_keys)
            left = self._wrap(left, set(left.columns))
        if join.kind in ("rightsemi", "rightanti"):
            left, right, left_keys, right_keys = right, left, right_keys, left_keys
        pairs = zip(self._keys(left, left_keys), self._keys(right, right_keys), strict=True)
        equal = exp.NullSafeEQ if join.nulls_match else exp.EQ
        condition = sql.both(*(sql.binary(equal, one, other) for one, other in pairs))
        side, kind = _WRITTEN[join.kind]
        joined = exp.Join(this=right.source, side=side, kind=kind, on=condition)
        columns = dict(left.columns)
        if kind not in ("SEMI", "ANTI"):
            columns.update(right.columns)
        lacking: list[tuple[int, KqlType]] = []
        if no_left:
            lacking.extend(join.left_columns)
        if no_right:
            lacking.extend(join.right_columns)
        for number, type_ in lacking:
            if type_ is KqlType.STRING and number in columns:
                columns[number] = sql.or_empty(columns[number])
        return Select(left.source, columns, depth=max(left.depth, right.depth), joins=[joined])

    def _side(
        self,
        relation: plan.Relation,
        columns: Sequence[tuple[int, KqlType]],
        keys: Sequence[plan.Scalar],
        needed: set[int],
        *,
        absent: bool,
    ) -> Select:
        """One side as a source of its own, without an order.

        Where rows may have none of it (`absent`), a constant must be a column of the source, so that it is null there.
        """
        wanted = ({number for number, _ in columns} & needed) | read_by(keys)
        select = self._relation(relation, wanted)
        select.identity = {}
        if select.limit is None:
            select.order = []
        plain = not (select.where or select.joins or select.distinct_on or select.group is not None)
        simple = all_simple(select, wanted) and not (
            absent and any(not isinstance(select.columns[number], exp.Column) for number in wanted)
        )
        if plain and select.limit is None and select.source is not None and simple:
            return select
        select = self._wrap(select, wanted)
        select.order = []
        return select

    def _keys(self, select: Select, keys: Sequence[plan.Scalar]) -> list[Node]:
        scalars = self._using(select)
        return [scalars.lower(key) for key in keys]

    # Elements of dynamic values

    def _lists(
        self, columns: Sequence[plan.Expansion], select: Select, keep: set[int], *, pairs: bool, limit: int | None
    ) -> Select:
        """The SELECT with each value's elements as a list, under the expansion's number."""
        read = read_by(expansion.value for expansion in columns)
        if select.limit is not None or select.group is not None or not all_simple(select, keep & read):
            select = self._wrap(select, keep | read)
        scalars = self._using(select)
        values = {expansion.id: scalars.lower(expansion.value) for expansion in columns}
        select.columns = {**select.columns, **values}
        if not all_simple(select, values):
            select = self._wrap(select, keep | set(values))
        for number in values:
            elements = _element_list(select.columns[number], pairs=pairs)
            if limit is not None:
                elements = sql.call("list_slice", elements, sql.number(1), sql.number(limit))
            select.columns[number] = elements
        return self._wrap(select, keep | set(values))

    def _expand(self, operator: plan.Expand, select: Select, used: set[int]) -> Select:
        made = {expansion.id for expansion in operator.columns}
        keep = used - made - {operator.index}
        select = self._lists(operator.columns, select, keep, pairs=operator.pairs, limit=operator.limit)
        counted = bool(select.order) or operator.index in used
        select = self._unnested(operator.columns, operator.index, select, keep, counted=counted)
        if select.order:
            select.order.append((select.columns[operator.index], False, False))
        return select

    def _unnested(
        self, columns: Sequence[plan.Expansion], index: int, select: Select, keep: set[int], *, counted: bool
    ) -> Select:
        """A row for each element, `counted` by their number; shorter lists are filled up with nulls."""
        lists = {expansion.id: select.columns[expansion.id] for expansion in columns}
        kept = {number: node for number, node in select.columns.items() if number in keep}
        select.columns = {**kept, **{number: sql.call("unnest", node) for number, node in lists.items()}}
        if counted:
            numbers = sql.call("range", sql.number(0), _longest(list(lists.values())))
            select.columns[index] = sql.call("unnest", numbers)
        select = self._wrap(select, set(select.columns))
        for number in lists:
            select.columns[number] = sql.call("nullif", select.columns[number], sql.text("null"))
        return select

    def _lower_elements(self, source: plan.Elements, needed: set[int]) -> Select:
        """Inside a lateral subquery: the elements of the outer row's lists, beside its columns."""
        outer = self._elements[id(source)]
        columns = {expansion.id: outer.columns[expansion.id] for expansion in source.columns}
        counted = source.index in needed
        select = self._unnested(source.columns, source.index, Select(None, columns), set(), counted=counted)
        made = {expansion.id for expansion in source.columns}
        others = {number: node for number, node in outer.columns.items() if number in needed and number not in made}
        select.columns = {**others, **select.columns}
        return select

    def _lateral(self, operator: plan.Apply, select: Select, used: set[int]) -> Select:
        keep = (used - set(operator.ids)) | (columns_named_in(operator.inner) & set(select.columns))
        elements = operator.elements
        select = self._lists(elements.columns, select, keep, pairs=False, limit=elements.limit)
        lists = [select.columns[expansion.id] for expansion in elements.columns]
        select.where.append(exp.GT(this=_longest(lists), expression=sql.number(0)))
        self._elements[id(elements)] = select
        wanted = [number for number in operator.ids if number in used]
        inner = self._relation(operator.inner, set(wanted))
        join, made = self._beside(inner, wanted)
        select.columns = {**select.columns, **made}
        select.joins.append(join)
        select.identity = {}
        select.depth = max(select.depth, inner.depth)
        return select

    # Rows that are used several times

    def _shared(self, source: plan.Shared) -> Select:
        key = id(source.relation)
        if key not in self.shared:
            if self._reads_outer(source.relation):
                return self._inline(source)
            select = self._relation(source.relation, set(source.columns))
            select.identity = {}
            items: list[Node] = [
                exp.Alias(this=select.columns[number], alias=sql.identifier(f"v{number}")) for number in source.columns
            ]
            self.shared[key] = f"shared{len(self.shared)}", self._finish(select, items)
        name, alias = self.shared[key][0], self._alias()
        table = exp.Table(this=sql.identifier(name), alias=exp.TableAlias(this=sql.identifier(alias)))
        pairs = zip(source.ids, source.columns, strict=True)
        return Select(table, {number: sql.column(alias, f"v{column}") for number, column in pairs})

    def _reads_outer(self, relation: plan.Relation) -> bool:
        """Whether rows depend on the row of a SELECT around them, and so cannot be computed once for all."""
        if not self.outer and not self._elements:
            return False
        seen: set[int] = set()
        pending: list[object] = [relation]
        while pending:
            node = pending.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            match node:
                case plan.Elements() if id(node) in self._elements:
                    return True
                case plan.Subtable(value=number) | plan.ColumnRef(id=number) if number in self.outer:
                    return True
            pending.extend(_parts(node))
        return False

    def _inline(self, source: plan.Shared) -> Select:
        """The rows lowered for this use alone."""
        self._inlined += 1
        if self._inlined > limits.OPERATORS.value:
            raise over_limit("the query uses the same rows too often inside a subquery")
        select = self._wrap(self._relation(source.relation, set(source.columns)), set(source.columns))
        select.identity, select.order = {}, []
        pairs = zip(source.ids, source.columns, strict=True)
        select.columns = {number: select.columns[column] for number, column in pairs}
        return select

    # Partitions

    def _partition(self, partition: plan.Partition, needed: set[int]) -> Select:
        rows = self._shared(partition.keys)
        value = rows.columns[partition.value]
        outer = self._wrap(Select(rows.source, {partition.value: value}, rows.where, [value]), {partition.value})
        if partition.most is not None:
            count = exp.Window(this=sql.call("count", exp.Star()), over="OVER")
            outer.columns[_COUNT] = count
            outer = self._wrap(outer, {partition.value, _COUNT})
            message = f"partition by a column with more than {partition.most} values: hint.strategy=native takes them"
            within = exp.LTE(this=outer.columns.pop(_COUNT), expression=sql.number(partition.most))
            outer.where.append(sql.case([(within, sql.boolean(True))], sql.call("error", sql.text(message))))
            outer = self._wrap(outer, {partition.value})
        value = self.outer[partition.value] = outer.columns[partition.value]
        wanted = [number for number in dict.fromkeys(partition.ids) if number in needed]
        inner = self._relation(partition.inner, set(wanted))
        inner.columns = {partition.value: value, **inner.columns}
        del self.outer[partition.value]
        join, made = self._beside(inner, wanted)
        depth = max(outer.depth, inner.depth)
        return Select(outer.source, made, depth=depth, joins=[join])

    def _beside(self, inner: Select, wanted: Sequence[int]) -> tuple[Node, dict[int, Node]]:
        """The join with rows that are computed for each row beside them, and the columns that are wanted of those."""
        inner.identity = {}
        if inner.limit is None:
            inner.order = []
        alias = self._alias()
        items: list[Node] = [
            exp.Alias(this=inner.columns[number], alias=sql.identifier(f"v{number}")) for number in wanted
        ]
        body = self._finish(inner, items or [exp.Alias(this=sql.number(1), alias=sql.identifier("one"))])
        table = exp.Subquery(this=body, alias=exp.TableAlias(this=sql.identifier(alias)))
        made = {number: sql.column(alias, f"v{number}") for number in wanted}
        return exp.Join(this=table, kind="CROSS"), made

    def _subtable(self, subtable: plan.Subtable) -> Select:
        select = self._shared(subtable.source)
        select.where.append(sql.binary(exp.NullSafeEQ, select.columns[subtable.key], self.outer[subtable.value]))
        return select

    # Texts

    def _parse_text(self, operator: plan.ParseText, select: Select, used: set[int]) -> Select:
        keep = used - {*operator.groups, operator.matched}
        read = read_by([operator.subject])
        if select.limit is not None or select.group is not None or not all_simple(select, read):
            select = self._wrap(select, keep | read)
        subject = self._using(select).lower(operator.subject)
        pattern = sql.text(operator.pattern)
        made = {}
        if operator.matched in used:
            made[operator.matched] = sql.call("regexp_matches", subject, pattern)
        if operator.groups:
            names = [sql.text(f"g{position}") for position in range(len(operator.groups))]
            made[operator.groups[0]] = sql.call("regexp_extract", subject, pattern, sql.call("list_value", *names))
        select.columns = {**select.columns, **made}
        select = self._wrap(select, keep | set(made))
        if operator.groups:
            record = select.columns[operator.groups[0]]
            for position, number in enumerate(operator.groups):
                field = sql.call("struct_extract", record, sql.text(f"g{position}"))
                select.columns[number] = sql.or_empty(field)
        return select


def _parts(node: object) -> Iterable[object]:
    """What a node of the plan, a tuple or a mapping is made of."""
    if isinstance(node, tuple):
        return node
    if isinstance(node, Mapping):
        return node.values()
    if isinstance(node, (plan.Scalar, *plan.RELATION_PARTS)):
        return [getattr(node, field.name) for field in dataclasses.fields(node)]
    return ()


def columns_named_in(relation: plan.Relation) -> set[int]:
    """The numbers of all columns that anything in a relation reads."""
    found: set[int] = set()
    pending: list[object] = [relation]
    while pending:
        node = pending.pop()
        if isinstance(node, plan.Scalar):
            plan.column_ids(node, found)
        elif isinstance(node, tuple):
            pending.extend(node)
        elif isinstance(node, plan.RELATION_PARTS):
            pending.extend(getattr(node, field.name) for field in dataclasses.fields(node))
    return found


def _longest(lists: Sequence[Node]) -> Node:
    lengths = [sql.call("len", node) for node in lists]
    return lengths[0] if len(lengths) == 1 else sql.call("greatest", *lengths)


def _element_list(node: Node, *, pairs: bool) -> Node:
    """A dynamic value's elements as a list of JSON texts: one null for null, the value itself if it has no elements.

    An element that is null may be null or the text `null`. A dynamic value is compact text: its first character says what
    it is, at a fraction of what json_type() costs.
    """
    key = sql.variable("k")
    quoted = sql.call("replace", sql.call("replace", key, sql.text("~"), sql.text("~0")), sql.text("/"), sql.text("~1"))
    value = sql.cast(sql.call("json_extract", node, sql.concat(sql.text("/"), quoted)), sql.VARCHAR)
    opening, middle, closing = ("[", ",", "]") if pairs else ("{", ":", "}")
    slot = sql.concat(sql.text(opening), duckdb_convert.json_string(key), sql.text(middle), value, sql.text(closing))
    slots = sql.call("list_transform", sql.call("json_keys", node), sql.lambda_("k", slot))
    return sql.case(
        [
            (sql.call("starts_with", node, sql.text("[")), duckdb_convert.nullable_json_list(node)),
            (sql.call("starts_with", node, sql.text("{")), slots),
        ],
        sql.call("list_value", node),
    )
