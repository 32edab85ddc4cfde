from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kql import KqlType, json_value, ticks_from_datetime
from lurewire.workspace.cells import json_cells

LAST = ticks_from_datetime(datetime.max.replace(tzinfo=UTC))
ARROW: dict[KqlType, Any] = {
    KqlType.BOOL: pa.bool_(),
    KqlType.INT: pa.int32(),
    KqlType.LONG: pa.int64(),
    KqlType.REAL: pa.float64(),
    KqlType.STRING: pa.string(),
    KqlType.DATETIME: pa.int64(),
    KqlType.TIMESPAN: pa.int64(),
    KqlType.DYNAMIC: pa.string(),
}
VALUES: dict[KqlType, st.SearchStrategy[Any]] = {
    KqlType.BOOL: st.booleans(),
    KqlType.INT: st.integers(-(2**31), 2**31 - 1),
    KqlType.LONG: st.integers(-(2**63), 2**63 - 1),
    KqlType.REAL: st.floats(),
    KqlType.STRING: st.text(),
    KqlType.DATETIME: st.one_of(
        st.integers(0, LAST), st.integers(0, LAST // 10_000_000).map(lambda second: second * 10_000_000), st.just(LAST)
    ),
    KqlType.TIMESPAN: st.integers(-(2**62), 2**62),
    KqlType.DYNAMIC: st.just('{"a":1}'),
}


def same(left: Any, right: Any) -> bool:
    return left == right or (isinstance(left, float) and isinstance(right, float) and math.isnan(left + right))


@pytest.mark.parametrize("kind", list(VALUES))
@settings(deadline=None)  # the first one loads what Arrow computes with
@given(data=st.data())
def test_a_column_is_written_as_its_values_are(kind: KqlType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | VALUES[kind]))
    cells = json_cells(pa.array(values, ARROW[kind]), kind)
    assert len(cells) == len(values)
    assert all(same(cell, json_value(kind, value)) for cell, value in zip(cells, values, strict=True))


@pytest.mark.parametrize("ticks", [-1, LAST + 10, 2**63 - 1])
def test_a_moment_outside_the_calendar_is_null_and_spoils_no_other(ticks: int) -> None:
    assert json_cells(pa.array([0, ticks], pa.int64()), KqlType.DATETIME) == ["0001-01-01T00:00:00Z", None]


def test_guids() -> None:
    known = uuid.UUID("6a5b4c3d-0000-4000-8000-000000000001")
    array = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([known.bytes, None], pa.binary(16)))
    assert json_cells(array, KqlType.GUID) == [str(known), None]
