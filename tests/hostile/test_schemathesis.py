"""Requests made up from the OpenAPI document: no answer is a failure of the server, none shows its insides."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Err

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.conftest import DIRECTORY, EVERYTHING
    from tests.hostile.walk import operations, target_of, tokens
    from tests.testbench.started import Started
else:
    from hostile.conftest import DIRECTORY, EVERYTHING
    from hostile.walk import operations, target_of, tokens

FEW = 2
EXAMPLES = max(FEW, int(os.environ.get("LUREWIRE_FUZZ", "0")) // 1000)
"""Per operation; `make soak` asks for a hundred."""


@pytest.fixture(scope="module")
def bearer(victim: Started) -> dict[str, str]:
    return tokens(victim, "hostile-fuzz", *EVERYTHING, scope=victim.subscription, permissions=DIRECTORY)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        yield one


def test_made_up_requests(
    session: requests.Session, victim: Started, document: dict[str, Any], bearer: dict[str, str]
) -> None:
    schema = schemathesis.openapi.from_dict(document)
    every = list(operations(document))
    chosen = {one.family: one for one in every}.values() if EXAMPLES == FEW else every
    audiences = {(one.method, one.path): one.audience for one in chosen}
    target = target_of(victim, "fuzzed")
    wrong: list[str] = []
    asked = 0
    for result in schema.get_all_operations():
        assert not isinstance(result, Err), result
        operation = result.ok()
        if (operation.method.upper(), operation.path) not in audiences:
            continue
        audience = audiences[operation.method.upper(), operation.path]
        headers = {"Authorization": f"Bearer {bearer[audience]}"} if audience else {}
        # What is deleted is made up; everything else is sometimes about what is there.
        known = {} if operation.method.lower() == "delete" else _known(operation, target)

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(), real=st.booleans())
        def ask(case: Any, real: bool) -> None:
            nonlocal asked
            if real:
                case.path_parameters.update(known)  # noqa: B023 - called in this round
            case.headers.update(headers)  # noqa: B023 - the same
            answer = case.call(base_url=victim.url, session=session, verify=victim.ca, timeout=30)
            asked += 1
            text = answer.content.decode("utf-8", "replace")
            if answer.status_code >= 500 and not _in_contract(case, answer.status_code):
                wrong.append(f"{case.method} {case.formatted_path}: {answer.status_code} {text[:300]}")
            if "Traceback" in text or 'File "' in text:
                wrong.append(f"{case.method} {case.formatted_path}: {text[:300]}")

        ask()
    assert wrong == []
    assert asked > 150


def _known(operation: Any, target: Any) -> dict[str, str]:
    names = [parameter.name for parameter in operation.path_parameters]
    return {name: target.value(name, operation.path) for name in names}


def _in_contract(case: Any, status: int) -> bool:
    """An empty body to the ingestion API is answered with 500 (contract section B.3)."""
    return (
        status == 500
        and case.operation.path.startswith(("/dataCollectionRules/", "/dataCollectionEndpoints/"))
        and not case.body
    )
