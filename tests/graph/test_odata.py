"""Query options as anybody may write them: an answer or an error of the contract, never anything else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lurewire.core.limits import Limits
from lurewire.graph import LIMITS
from lurewire.graph.errors import MalformedRequest, UnsupportedQuery
from lurewire.graph.objects import APPLICATION
from lurewire.graph.odata import Page, page_of

OBJECTS: list[dict[str, Any]] = [
    {"id": f"{number:04}", "appId": f"app-{number}", "displayName": f"O'Neil's {number}", "identifierUris": []}
    for number in range(25)
]
WORDS = st.sampled_from(
    [
        "displayName",
        "appId",
        "eq",
        "and",
        "or",
        "in",
        "startswith(",
        ")",
        "(",
        ",",
        "'",
        "''",
        "'x'",
        " ",
        "any(",
        "a:a",
        "/",
    ]
)


def ask(**options: str) -> Page:
    query = {f"${name}": value for name, value in options.items()}
    return page_of(OBJECTS, APPLICATION, query, Limits(LIMITS))


def refused_or(**options: str) -> Page | None:
    """The page, None where the options are refused; any other exception fails the test."""
    try:
        return ask(**options)
    except (MalformedRequest, UnsupportedQuery):
        return None


@given(text=st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=12).map("".join)))
def test_any_filter_is_read_or_refused(text: str) -> None:
    page = refused_or(filter=text)
    assert page is None or all(one in OBJECTS for one in page.objects)


@given(top=st.text(max_size=8), token=st.text(max_size=12))
def test_any_page_is_given_or_refused(top: str, token: str) -> None:
    refused_or(top=top, skiptoken=token)


@given(size=st.integers(1, 30), name=st.text(max_size=6))
def test_pages_together_are_the_whole_and_a_quoted_name_is_found(size: int, name: str) -> None:
    seen, token = [], ""
    while True:
        page = ask(top=str(size), **({"skiptoken": token} if token else {}))
        seen += page.objects
        if page.next_token is None:
            break
        token = page.next_token
    assert seen == OBJECTS
    quoted = name.replace("'", "''")
    found = page_of(
        [OBJECTS[0] | {"displayName": name}], APPLICATION, {"$filter": f"displayName eq '{quoted}'"}, Limits(LIMITS)
    )
    assert len(found.objects) == 1
