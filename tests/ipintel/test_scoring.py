"""The score: its tables, its formula, and the documents that describe them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import iporigin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.ipintel.labels import unknown_labels
from lurewire.ipintel.scoring import EVIDENCE, EVIDENCE_OF_LABEL, KINDS, LEVELS, assess, level_of, score_of
from lurewire.ipintel.sources import ATTRIBUTIONS, EXCLUDED, LABELS, SOURCES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("kind", "score", "level", "categories"),
    [
        ("hosting", 10, "low", ("datacenter",)),
        ("cdn", 10, "low", ("datacenter", "cdn")),
        ("bot", 10, "low", ("datacenter", "crawler")),
        ("vpn", 46, "medium", ("vpn", "datacenter")),
        ("tor", 80, "high", ("tor",)),
    ],
)
def test_the_score_of_each_kind(kind: str, score: int, level: str, categories: tuple[str, ...]) -> None:
    assessment = assess(KINDS[kind].evidence, "Example")
    assert (assessment.score, assessment.level, assessment.categories) == (score, level, categories)
    assert len(assessment.reasons) == len(categories)


def test_a_private_relay_is_weaker_than_a_chosen_vpn() -> None:
    relay = assess(EVIDENCE_OF_LABEL["Apple Private Relay"], "Apple Private Relay")
    assert (relay.score, relay.level) == (24, "low")  # 100 x (1 - 0.85 x 0.90) = 23.5, half up
    assert relay.reasons == ("Egress of Apple Private Relay", "Datacentre IP address")


def test_no_evidence_is_no_score() -> None:
    nothing = assess((), "")
    assert (nothing.score, nothing.level, nothing.categories, nothing.reasons) == (0, "low", (), ())


@given(st.lists(st.integers(0, 100), max_size=6))
def test_the_formula(weights: list[int]) -> None:
    score = score_of(weights)
    assert 0 <= score <= 100
    assert score >= max(weights, default=0)
    assert score <= sum(weights)
    assert score == score_of(weights[::-1])
    assert score_of([*weights, 30]) >= score


def test_levels_cover_every_score_once() -> None:
    assert (LEVELS[0].lowest, LEVELS[-1].highest) == (0, 100)
    assert all(below.highest + 1 == above.lowest for below, above in pairwise(LEVELS))
    assert [level_of(score) for score in (0, 30, 31, 70, 71, 90, 91, 100)] == [
        *("low", "low", "medium", "medium"),
        *("high", "high", "critical", "critical"),
    ]


def test_every_evidence_that_a_kind_names_is_declared() -> None:
    named = [piece for kind in KINDS.values() for piece in kind.evidence]
    named += [piece for evidence in EVIDENCE_OF_LABEL.values() for piece in evidence]
    assert {*named, "private"} == set(EVIDENCE)
    assert {*KINDS} == {iporigin.HOSTING, iporigin.CDN, iporigin.VPN, iporigin.TOR, iporigin.BOT}


def rows(document: str) -> list[list[str]]:
    return [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in document.splitlines() if line[:1] == "|"
    ]


def test_the_manual_has_the_tables_as_they_are() -> None:
    table = rows((ROOT / "docs" / "ipintel.md").read_text())
    for row in EVIDENCE.values():
        assert [row.name, str(row.weight), row.category, row.reason] in [cells[:4] for cells in table]
    for level in LEVELS:
        assert [level.name, f"{level.lowest}-{level.highest}"] in [cells[:2] for cells in table]


def test_every_source_is_named_with_its_terms() -> None:
    text = (ROOT / "SOURCES.md").read_text()
    table = rows(text)
    for source in SOURCES:
        assert [source.name, source.package, source.licence, source.gives] in [cells[:4] for cells in table]
        assert source.url in text
    for attribution in ATTRIBUTIONS:
        assert attribution in text
        assert attribution in (ROOT / "docs" / "ipintel.md").read_text()
    for label in EXCLUDED:
        assert label in text


def test_every_label_of_the_installed_package_has_known_terms() -> None:
    assert unknown_labels() == []
    assert not LABELS.keys() & EXCLUDED.keys()
    assert set(LABELS.values()) == {source.key for source in SOURCES if source.package == "iporigin"}


def test_the_labels_left_out_are_those_that_the_packages_notice_names() -> None:
    from importlib.metadata import distribution

    notice = next(file for file in distribution("iporigin").files or () if file.name == "NOTICE")
    section = re.search(r"3\. Used with.*?TODO", notice.read_text(), re.DOTALL)
    assert section is not None
    named = re.search(r"Used for: (Cogent.*?)\n\n", section[0], re.DOTALL)
    assert named is not None
    assert {name.strip() for name in named[1].split(",")} | {"Akamai"} == set(EXCLUDED)
