"""Fetching, the data folder, the AS index, and the addresses that are picked from them."""

from __future__ import annotations

import json
import os
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import msgspec
import pytest

from lurewire.ipintel import DataError, DataFolder, FetchError, Lookup, PickError, addresses, fetch, pick_address
from lurewire.ipintel import asn as asn_module
from lurewire.ipintel.asn import AsnIndex, AutonomousSystem, build
from lurewire.ipintel.data import ASN_INDEX, FILES, MANIFEST, npm_files, wanted_name

if TYPE_CHECKING:
    from pathlib import Path


def test_a_real_fetch_is_whole_once_and_repairs_itself(tmp_path: Path) -> None:
    """Goes to the npm registry (or npm's own cache of it): without either, it fails and says so."""
    said: list[str] = []
    results: list[Path] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch(DataFolder(tmp_path), said.append).path)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [tmp_path / wanted_name()] * 2
    assert len([line for line in said if line.startswith("fetching")]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {".lock", wanted_name()}
    lock = json.loads((npm_files() / "package-lock.json").read_text())
    pinned = {
        name.removeprefix("node_modules/"): package["version"] for name, package in lock["packages"].items() if name
    }
    installed = fetch(DataFolder(tmp_path))
    assert installed.manifest.packages == pinned
    assert installed.size < 150_000_000
    assert any(path.name.endswith("DBIP-LICENSE") for path in installed.path.iterdir())
    # A file that lost its tail is no data: lookups go on without, and the next fetch brings it back.
    os.truncate(installed.path / ASN_INDEX, 1000)
    assert Lookup(DataFolder(tmp_path)).asn is None
    assert fetch(DataFolder(tmp_path)).size == installed.size
    lookup = Lookup(DataFolder(tmp_path))
    assert lookup.lookup("8.8.8.8").as_number == "AS15169"
    lookup.close()


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(FetchError, match=r"ECONNREFUSED.*Check that this machine reaches the npm registry"):
        fetch(DataFolder(tmp_path / "data"))
    assert {path.name for path in (tmp_path / "data").iterdir()} == {".lock"}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="could not be written"):
        fetch(DataFolder(tmp_path / "file" / "data"))


def test_the_lock_pins_hashes_and_names_no_host() -> None:
    text = (npm_files() / "package-lock.json").read_text()
    assert "resolved" not in text
    assert "://" not in text
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert all("hasInstallScript" not in package for package in packages.values())


def test_data_of_another_lock_is_used_until_the_new_is_there(folder: DataFolder, tmp_path: Path) -> None:
    older = tmp_path / f"data-0000000000000000-{asn_module.FORMAT}"
    older.mkdir()
    for file in (*FILES, MANIFEST):
        (older / file).symlink_to(folder.path / wanted_name() / file)
    lookup = Lookup(DataFolder(tmp_path))
    assert lookup.lookup("8.8.8.8").country_code == "US"
    lookup.close()


def test_data_that_is_whole_but_broken_is_an_error(folder: DataFolder, tmp_path: Path) -> None:
    broken = tmp_path / wanted_name()
    broken.mkdir()
    for file in FILES:
        (broken / file).write_bytes(b"x" * 100)
    (broken / MANIFEST).write_bytes(msgspec.json.encode({"packages": {}, "files": dict.fromkeys(FILES, 100)}))
    with pytest.raises(DataError, match="fetch"):
        Lookup(DataFolder(tmp_path))


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_index_finds_what_the_files_say(tmp_path: Path) -> None:
    high = int(IPv6Address("2001:db8:1::"))
    build(
        write_csv(tmp_path / "4.csv", '10,20,64500,"One, Inc."', "21,21,64501,Zwei", "4294967295,4294967295,64500,Ünï"),
        write_csv(
            tmp_path / "6.csv",
            f"{high},{high + (1 << 64) + 5},64502,Six",
            f"{high + (1 << 65)},{high + (1 << 65)},64501,Zwei",
        ),
        tmp_path / "index",
    )
    index = AsnIndex(tmp_path / "index")
    one, two, last = (
        AutonomousSystem(64500, "One, Inc."),
        AutonomousSystem(64501, "Zwei"),
        AutonomousSystem(64500, "Ünï"),
    )
    four = {9: None, 10: one, 20: one, 21: two, 22: None, 0: None, 0xFFFFFFFE: None, 0xFFFFFFFF: last}
    assert {value: index.find(IPv4Address(value)) for value in four} == four
    six_system = AutonomousSystem(64502, "Six")
    six = {
        high - 1: None,
        high: six_system,
        high + (1 << 64) + 5: six_system,
        high + (1 << 64) + 6: None,
        high + (1 << 65): two,
        high + (1 << 65) + 1: None,
        0: None,
        (1 << 128) - 1: None,
    }
    assert {value: index.find(IPv6Address(value)) for value in six} == six
    assert len(index) == 3
    index.close()


def test_of_two_ranges_that_overlap_the_later_holds(tmp_path: Path) -> None:
    build(write_csv(tmp_path / "4", "10,20,1,A", "15,25,2,B"), write_csv(tmp_path / "6"), tmp_path / "index")
    index = AsnIndex(tmp_path / "index")
    found = [index.find(IPv4Address(value)) for value in (14, 15, 25)]
    assert [system.name for system in found if system] == ["A", "B", "B"]
    assert index.find(IPv6Address(1)) is None
    index.close()


@pytest.mark.parametrize(
    "lines",
    [
        ("1,2,3",),
        ("a,2,3,N",),
        ("1,2,-3,N",),
        ("1,4294967296,3,N",),
        ("1,2,4294967296,N",),
        ("-1,2,3,N",),
        ("2,1,3,N",),
        ("5,6,1,N", "1,2,1,N"),
        ("5,6,1,N", "5,6,1,N"),
        ("1,9,1,N", "3,4,1,N"),
    ],
)
def test_rows_of_another_shape_are_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=rf"4\.csv, line {len(lines)}"):
        build(write_csv(tmp_path / "4.csv", *lines), write_csv(tmp_path / "6.csv"), tmp_path / "index")


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 24, b"\0" * 24, b"\xff" * 64])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(DataError, match="not a whole AS index"):
        AsnIndex(tmp_path / "index")


def test_tor_addresses_score_above_70(lookup: Lookup) -> None:
    picked = addresses(lookup, "tor", count=200, seed=7)
    assert len(set(picked)) == 200
    assert addresses(lookup, "tor", count=200, seed=7) == picked
    assert addresses(lookup, "tor", count=200, seed=8) != picked
    for address in picked:
        record = lookup.lookup(address)
        assert record.threat_assessment.score > 70
        assert record.is_tor is True
        assert ip_address(address).is_global


def test_benign_addresses_are_known_and_unlabelled(lookup: Lookup) -> None:
    picked = addresses(lookup, "benign", count=200, seed=7)
    assert len(set(picked)) == 200
    assert picked[0] == pick_address(lookup, "benign", seed=7) == addresses(lookup, "benign", seed=7)[0]
    for address in picked:
        record = lookup.lookup(address)
        assert record.threat_assessment.score == 0
        assert record.country
        assert record.as_number
        assert record.is_tor is False
        assert record.threat_assessment.categories == ()


def test_what_the_data_does_not_hold_cannot_be_picked(lookup: Lookup, bare: Lookup) -> None:
    with pytest.raises(PickError, match="100000 are wanted"):
        addresses(lookup, "tor", count=100_000)
    with pytest.raises(PickError, match="fetch it first"):
        addresses(bare, "benign")
    assert len(addresses(bare, "tor", count=3)) == 3


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert DataFolder.default().path.is_relative_to(tmp_path)
    assert DataFolder.default().path.name == "ipintel"
