"""The steps of a scan as DuckDB SQL: one fold over the rows in order.

What the expressions read of the rows becomes a list of structs, and list_reduce carries the state from one to the next. The
state is a struct: for each step whether it has a sequence, the sequence's number, and of the last matches what later
expressions read. The matches are collected beside the state, each with the place of its row; so that they are not copied for
every row, the list is cut into chunks, and a fold over chunks goes around the fold over rows.

Source of the logic: https://learn.microsoft.com/kusto/query/scan-operator#matching-logic. A row is held against the steps
from the last to the first. What decides about a step is the state before the row, but for the sequences that a later step
has taken over already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import plan
from lurewire.kql.types import KqlType

from . import duckdb_convert, duckdb_time, duckdb_windows, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .duckdb import Scalars
    from .sql import Node

#: Rows of a chunk.
CHUNK = 64
#: Numbers of columns that only the SELECTs of a scan have.
ROW, READ, PLACE, CHUNKED, ROWS, LIST = (2_000_000_000_000 + place for place in range(6))

_ROW, _PHASE, _STATE, _OUT, _OUTS, _LIST = "r", "h", "s", "o", "l", "c"
_TAKEN, _MATCHED, _ASSIGNED = "t", "m", "d"


def field(node: Node, name: str) -> Node:
    """A field of a struct."""
    return sql.call("struct_extract", node, sql.text(name))


def column_field(number: int) -> str:
    """The field that holds a column."""
    return f"v{number}"


def placed(order: Node, keys: list[Node]) -> Node:
    """A row's place among those of its group, from 1."""
    return duckdb_windows.over(sql.call("row_number"), keys, [order])


def chunked(place: Node) -> Node:
    """The chunk that a place is in."""
    return sql.whole_divide(place, sql.number(CHUNK))


def listed(value: Node, order: Node) -> Node:
    """Values as a list in order."""
    ordered = exp.Order(this=value, expressions=[exp.Ordered(this=order, desc=False, nulls_first=False)])
    return sql.call("list", ordered)


def row(columns: Mapping[int, Node]) -> Node:
    """Columns as a struct, which has one field at least."""
    fields = {column_field(number): node for number, node in columns.items()}
    return sql.struct(fields or {"z": sql.boolean(True)})


def result(steps: plan.Steps, rows: Node, match: Node) -> dict[int, Node]:
    """The columns of a match: its row's, those that steps assign, and the number of its sequence."""
    own = sql.call("list_extract", rows, field(match, "z"))
    return {
        **{number: field(own, column_field(number)) for number, _ in steps.columns},
        **{number: field(match, column_field(number)) for number, _ in steps.declared},
        steps.match: field(match, "m"),
    }


class Fold:
    """The SQL of one scan's fold, over scalars lowered by `scalars`."""

    def __init__(self, steps: plan.Steps, scalars: Scalars) -> None:
        self._plan = steps
        self._scalars = scalars
        self._last = len(steps.steps) - 1
        self._state, self._row = field(sql.variable("zp"), _STATE), field(sql.variable("zq"), _ROW)

    # What is in the state: whether step k has a sequence, its number, and reference x of step j as step k knows it.

    def _active(self, step: int) -> Node:
        return field(self._state, f"a{step}")

    def _number(self, step: int) -> Node:
        return field(self._state, f"n{step}")

    def _kept(self, step: int, place: int) -> Node:
        return field(self._state, f"k{step}_{place}")

    def _references(self, step: int) -> list[tuple[int, plan.StateColumn]]:
        """What the state of a step holds: of itself and the steps before it."""
        return [(place, one) for place, one in enumerate(self._plan.state) if one.step <= step]

    def _empty(self, reference: plan.StateColumn) -> Node:
        if reference.declared:
            return self._scalars.constant(self._plan.declared[reference.source][1])
        absent = "" if reference.type is KqlType.STRING else None
        return self._scalars.constant(plan.Constant(reference.type, absent))

    # The states of the fold

    def _first_state(self) -> Node:
        """The state before any row."""
        fields: dict[str, Node] = {"m": sql.cast(sql.number(0), sql.BIGINT)}
        nothing = sql.call("list_extract", self._no_rows(), sql.number(1))
        for place, step in enumerate(self._plan.steps):
            fields[f"a{place}"] = sql.boolean(False)
            fields[f"n{place}"] = sql.cast(sql.NULL.copy(), sql.BIGINT)
            fields |= {f"k{place}_{kept}": self._empty(one) for kept, one in self._references(place)}
            if step.output == "last":
                fields[f"p{place}"] = nothing
        return sql.struct(fields)

    def _no_rows(self) -> Node:
        """An empty list of matches."""
        fields: dict[str, Node] = {
            column_field(number): sql.cast(sql.NULL.copy(), duckdb_convert.STORAGE[value.type])
            for number, value in self._plan.declared
        }
        fields |= {name: sql.cast(sql.NULL.copy(), sql.BIGINT) for name in ("m", "z")}
        return sql.call("list_slice", sql.call("list_value", sql.struct(fields)), sql.number(1), sql.number(0))

    def fold(self, chunks: Node) -> Node:
        """The list of the matches in a list of chunks."""
        no_rows = self._no_rows()
        none = sql.call("list_slice", sql.call("list_value", no_rows), sql.number(1), sql.number(0))
        start = {_STATE: self._first_state(), _OUTS: none}

        def element(chunk: Node) -> Node:
            return sql.struct({_LIST: chunk, **start})

        elements = sql.call("list_transform", chunks, sql.lambda_("zc", element(sql.variable("zc"))))
        begin = element(sql.call("list_extract", chunks, sql.number(1)))
        folded = sql.call("list_reduce", elements, _two("za", "zb", self._chunk(no_rows)), begin)
        return duckdb_time.bind(folded, "zf", self._all)

    def _all(self, folded: Node) -> Node:
        """What came out of the chunks, and the last rows that steps with output=last still hold."""
        state = field(folded, _STATE)
        outs = sql.call("flatten", field(folded, _OUTS))
        held = [field(state, f"p{place}") for place, step in enumerate(self._plan.steps) if step.output == "last"]
        if not held:
            return outs
        # In the order of their rows: a struct is ordered by its fields, and the row's place is the first of these.
        waiting = _not_null([sql.struct({"z": field(one, "z"), "q": one}) for one in held], lambda one: field(one, "q"))
        ordered = sql.call("list_sort", waiting)
        rows = sql.call("list_transform", ordered, sql.lambda_("zw", field(sql.variable("zw"), "q")))
        return sql.call("list_concat", outs, rows)

    def _chunk(self, no_rows: Node) -> Node:
        """One step of the fold over chunks: the fold over the rows of one, each in phases."""
        before, chunk = sql.variable("za"), field(sql.variable("zb"), _LIST)
        phases = self._phases()

        def element(one: Node, phase: int) -> Node:
            fixed = {_ROW: one, _PHASE: sql.number(phase), _STATE: field(before, _STATE), _OUT: no_rows}
            return sql.struct({**fixed, **self._decided()})

        one = sql.variable("zr")
        each = sql.call("list_value", *(element(one, phase) for phase in range(len(phases))))
        elements = sql.call("flatten", sql.call("list_transform", chunk, sql.lambda_("zr", each)))
        begin = element(sql.call("list_extract", chunk, sql.number(1)), 0)
        folded = sql.call("list_reduce", elements, _two("zp", "zq", self._one(phases)), begin)

        def after(done: Node) -> Node:
            outs = sql.call("list_append", field(before, _OUTS), field(done, _OUT))
            return sql.struct({_LIST: chunk, _STATE: field(done, _STATE), _OUTS: outs})

        return duckdb_time.bind(folded, "zd", after)

    # One row, in phases: each decides on what the next ones read, so that nothing is computed twice. (A lambda within the
    # fold would say the same, but DuckDB prepares its whole body anew for every row.)

    def _one(self, phases: Sequence[Mapping[str, Node]]) -> Node:
        """What follows from the state, a row's columns and the phase."""
        before, phase = sql.variable("zp"), field(sql.variable("zq"), _PHASE)
        fixed = {_ROW: self._row, _PHASE: phase}
        kept = {name: field(before, name) for name in (_STATE, _OUT, *self._decided())}
        bodies = [sql.struct({**fixed, **kept, **changed}) for changed in phases]
        *first, last = bodies
        return sql.case([(sql.equal(phase, sql.number(place)), body) for place, body in enumerate(first)], last)

    def _phases(self) -> list[dict[str, Node]]:
        """What each phase changes: which sequences are taken over, which steps match, what they assign, and the state."""
        steps = range(self._last + 1)
        taken = {f"t{place}": self._taken(place) for place in steps if place}
        phases = [{_TAKEN: sql.struct(taken)}] if taken else []
        phases.append({_MATCHED: sql.struct({f"m{place}": self._kept_on(place) for place in steps})})
        values = {f"d{step}_{position}": value for step in steps for position, value in self._assigned_by(step).items()}
        if values:
            phases.append({_ASSIGNED: sql.struct(values)})
        # Most rows match nothing: then nothing changes.
        some = sql.either(*(self._matched(place) for place in steps))
        changed = self._next()
        phases.append(
            {name: sql.case([(some, node)], field(sql.variable("zp"), name)) for name, node in changed.items()}
        )
        return phases

    def _decided(self) -> dict[str, Node]:
        """The fields of what phases decide, before they do."""
        steps = self._plan.steps
        fields = {_MATCHED: sql.struct({f"m{place}": sql.boolean(False) for place in range(len(steps))})}
        if self._last:
            fields[_TAKEN] = sql.struct({f"t{place}": sql.boolean(False) for place in range(1, len(steps))})
        values = {
            f"d{place}_{position}": self._scalars.constant(self._plan.declared[position][1])
            for place, step in enumerate(steps)
            for position, _ in step.assignments
        }
        return {**fields, _ASSIGNED: sql.struct(values)} if values else fields

    def _took(self, step: int) -> Node | None:
        """Whether a step took over the sequence of the one before it; None where there is no such step."""
        return field(field(sql.variable("zp"), _TAKEN), f"t{step}") if 1 <= step <= self._last else None

    def _matched(self, step: int) -> Node:
        own, here = self._took(step), field(field(sql.variable("zp"), _MATCHED), f"m{step}")
        return here if own is None else sql.either(own, here)

    def _taken(self, step: int) -> Node:
        """Check 1: whether the step takes over the sequence of the step before it."""
        columns = {place: self._kept(step - 1, place) for place, _ in self._references(step - 1)}
        condition = self._lower(self._plan.steps[step].condition, columns)
        return sql.both(self._active(step - 1), _true(condition))

    def _kept_on(self, step: int) -> Node:
        """Check 2: whether the row matches the step within its own sequence, or begins one at the first step."""
        columns = {place: self._own(step, place) for place, _ in self._references(step)}
        tests = [_true(self._lower(self._plan.steps[step].condition, columns))]
        if step > 0:
            tests.insert(0, self._still(step))
        own = self._took(step)
        if own is not None:
            tests.insert(0, sql.negation(own))
        return sql.both(*tests)

    def _own(self, step: int, place: int) -> Node:
        """A reference in the step's own state, which is empty when the next step took its sequence over."""
        lost = self._took(step + 1)
        if step > 0 or lost is None:
            return self._kept(step, place)
        return sql.case([(lost, self._empty(self._plan.state[place]))], self._kept(step, place))

    def _assigned_by(self, step: int) -> dict[int, Node]:
        """The values that a step assigns if it matches, by the positions of their columns."""
        columns = {place: self._known(step, place) for place, _ in self._references(step)}
        found: dict[int, Node] = {}
        for position, value in self._plan.steps[step].assignments:
            default = self._scalars.constant(self._plan.declared[position][1])
            found[position] = sql.case([(self._matched(step), self._lower(value, columns))], default)
        return found

    def _known(self, step: int, place: int) -> Node:
        """A reference as the state of a matched step has it: that of the sequence it took over, or its own."""
        reference, own = self._plan.state[place], self._took(step)
        mine = self._own(step, place)
        if own is None:
            return mine
        theirs = self._empty(reference) if reference.step == step else self._kept(step - 1, place)
        return sql.case([(own, theirs)], mine)

    def _next(self) -> dict[str, Node]:
        """The state after the row, and the matches so far."""
        fields: dict[str, Node] = {}
        begins = sql.both(self._matched(0), sql.negation(self._still(0)))
        fields["m"] = sql.add(field(self._state, "m"), sql.case([(begins, sql.number(1))], sql.number(0)))
        ended: list[Node] = []
        records: list[Node] = []
        for step in range(self._last, -1, -1):
            number = self._next_number(step, begins)
            fields[f"a{step}"] = sql.either(self._matched(step), self._still(step))
            fields[f"n{step}"] = number
            for place, reference in self._references(step):
                value = self._known(step, place)
                if reference.step == step:
                    value = sql.case([(self._matched(step), self._value(reference))], value)
                fields[f"k{step}_{place}"] = value
            output, record = self._plan.steps[step].output, self._record(step, number)
            if output == "all":
                records.append(sql.case([(self._matched(step), record)]))
            elif output == "last":
                ended.append(self._held(step, record, fields))
        # The fields come in the order of the first state: structs of one type have them so.
        order = ["m", *(name for place in range(self._last + 1) for name in self._names(place))]
        changed = {_STATE: sql.struct({name: fields[name] for name in order})}
        if ended or records:
            # What was held is of rows before this one.
            out = field(sql.variable("zp"), _OUT)
            changed[_OUT] = sql.call("list_concat", out, _not_null([*ended, *records], lambda one: one))
        return changed

    def _names(self, step: int) -> list[str]:
        names = [f"a{step}", f"n{step}", *(f"k{step}_{place}" for place, _ in self._references(step))]
        return [*names, f"p{step}"] if self._plan.steps[step].output == "last" else names

    def _still(self, step: int) -> Node:
        """Whether the step has its sequence still: the next one did not take it over."""
        lost = self._took(step + 1)
        return self._active(step) if lost is None else sql.both(self._active(step), sql.negation(lost))

    def _next_number(self, step: int, begins: Node) -> Node:
        own = self._took(step)
        if own is None:
            return sql.case([(begins, field(self._state, "m"))], self._number(step))
        return sql.case([(own, self._number(step - 1))], self._number(step))

    def _value(self, reference: plan.StateColumn) -> Node:
        if not reference.declared:
            return field(self._row, column_field(reference.source))
        return self._declared(reference.step, reference.source)

    def _declared(self, step: int, position: int) -> Node:
        """A declared column of a row that matches a step."""
        if all(position != place for place, _ in self._plan.steps[step].assignments):
            return self._scalars.constant(self._plan.declared[position][1])
        return field(field(sql.variable("zp"), _ASSIGNED), f"d{step}_{position}")

    def _record(self, step: int, number: Node) -> Node:
        """The match of a step."""
        fields = {
            column_field(column): self._declared(step, position)
            for position, (column, _) in enumerate(self._plan.declared)
        }
        return sql.struct({**fields, "m": number, "z": field(self._row, column_field(PLACE))})

    def _held(self, step: int, record: Node, fields: dict[str, Node]) -> Node:
        """What a step with output=last held, once its run of matches has ended, else null; `fields` take what it holds now."""
        held = field(self._state, f"p{step}")
        ends = [one for one in (self._took(step + 1), self._took(step)) if one is not None]
        ended = sql.either(*ends) if ends else sql.boolean(False)
        fields[f"p{step}"] = sql.case([(self._matched(step), record), (sql.negation(ended), held)])
        return sql.case([(ended, held)])

    def _lower(self, value: plan.Scalar, references: Mapping[int, Node]) -> Node:
        """An expression over the row and what is known of the state; the rest of the state is empty."""
        columns = {number: field(self._row, column_field(number)) for number in read(self._plan)}
        for place, one in enumerate(self._plan.state):
            columns[one.id] = references[place] if place in references else self._empty(one)
        self._scalars.columns = columns
        return self._scalars.lower(value)


def read(steps: plan.Steps) -> set[int]:
    """The columns of the input that the steps read."""
    found: set[int] = set()
    for step in steps.steps:
        plan.column_ids(step.condition, found)
        for _, value in step.assignments:
            plan.column_ids(value, found)
    found.update(one.source for one in steps.state if not one.declared)
    return found - {one.id for one in steps.state}


def _two(first: str, second: str, body: Node) -> Node:
    return exp.Lambda(this=body, expressions=[sql.identifier(first), sql.identifier(second)])


def _true(condition: Node) -> Node:
    """A condition that is not null."""
    return sql.coalesce(condition, sql.boolean(False))


def _not_null(values: Sequence[Node], item: Callable[[Node], Node]) -> Node:
    """The values whose `item` is not null, as a list."""
    test = sql.negation(sql.is_null(item(sql.variable("zx"))))
    return sql.call("list_filter", sql.call("list_value", *values), sql.lambda_("zx", test))
