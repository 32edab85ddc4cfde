"""Expressions whose value must be known before the query runs: what is no literal is computed by an engine of its own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from . import plan
from .errors import semantic
from .scope import ERROR

if TYPE_CHECKING:
    import duckdb

    from .literals import Value
    from .scope import Context

_NUMBER = 0


def evaluated(value: plan.Scalar, what: str, at: int, context: Context) -> plan.Constant | None:
    """The value as a constant; None for one with a reported problem. Raises Problem where it depends on rows or time.

    `what` names the place in messages.
    """
    if value is ERROR:
        return None
    if isinstance(value, plan.Constant):
        return value
    read: set[int] = set()
    plan.column_ids(value, read)
    if read:
        raise semantic(f"{what} must be constant: it depends on the row", at)
    if context.problems:
        return None
    source = plan.Values((), (), ((),))
    bound = plan.BoundQuery(plan.Compute(source, ((_NUMBER, value),)), (plan.Output("value", _NUMBER, value.type),))
    return plan.Constant(value.type, _computed(bound, what, at))


def _computed(bound: plan.BoundQuery, what: str, at: int) -> Value:
    from .compiler import lowered  # noqa: PLC0415 - the compiler binds through this module

    compiled = lowered(bound)
    if compiled.tables or compiled.parameters:
        raise semantic(f"{what} must be constant: it depends on rows or on the time", at)
    from .execution import execute  # noqa: PLC0415 - it compiles queries

    value: Value = execute(_connection().cursor(), compiled, {})[0][0]
    return value


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    from .execution import closed_connection  # noqa: PLC0415 - as above

    return closed_connection()
