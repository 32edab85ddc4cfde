"""What a lookup answers: the vendor's shape, the page's schema, nothing that is not known."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import iporigin
import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from lurewire.ipintel import DataFolder, InvalidAddress, Lookup, addresses
from lurewire.ipintel.addresses import RESERVED, parse, reserved
from lurewire.ipintel.countries import COUNTRIES
from lurewire.ipintel.labels import ranges
from lurewire.ipintel.sources import EXCLUDED

if TYPE_CHECKING:
    from lurewire.core.clock import ManualClock
    from lurewire.ipintel import IpIntel

SCHEMA = json.loads((Path(__file__).parent / "parse_json_schema.json").read_text())
PAGE_FIELDS = set(SCHEMA["properties"]["data"]["properties"])
MAY_BE_UNKNOWN = {"latitude", "longitude", "asn", "is_tor", "is_proxy", "is_vpn", "is_datacenter"}
TEXT = {"ip", "hostname", "city", "region", "country", "country_code", "org", "isp"}
LATER_FIELDS = {"ip_version", "country_name", "region_name", "as_number", "as_name", "timezone", "blacklists"}

VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def record_of(lookup: Lookup, text: str) -> dict[str, Any]:
    """The record as its JSON says it."""
    record: dict[str, Any] = json.loads(msgspec.json.encode(lookup.lookup(text)))
    return record


def check(record: dict[str, Any]) -> None:
    VALIDATOR.validate({"success": True, "data": record})
    assert set(record) | MAY_BE_UNKNOWN == PAGE_FIELDS | LATER_FIELDS
    assert None not in record.values()
    assert all(isinstance(record[field], str) for field in TEXT)
    assert 0 <= record["threat_assessment"]["score"] <= 100
    assert record["threat_assessment"]["level"] in {"low", "medium", "high", "critical"}
    assert record.get("asn") != 0
    assert record["as_number"] == (f"AS{record['asn']}" if "asn" in record else "")
    assert bool(record["country"]) == (record["country_code"] in COUNTRIES)


# Addresses in use are rare in IPv6: half of the examples are drawn from space that the registries hand out.
SIX = st.ip_addresses(v=6) | st.ip_addresses(network="2a00::/12") | st.ip_addresses(network="2600::/12")


@given(address=st.ip_addresses(v=4))
@settings(max_examples=500, deadline=None)
def test_every_ipv4_address_fits_the_schema(lookup: Lookup, bare: Lookup, address: IPv4Address) -> None:
    check(record_of(lookup, str(address)))
    check(record_of(bare, str(address)))


@given(address=SIX)
@settings(max_examples=500, deadline=None)
def test_every_ipv6_address_fits_the_schema(lookup: Lookup, bare: Lookup, address: IPv6Address) -> None:
    check(record_of(lookup, str(address)))
    check(record_of(bare, str(address)))


def test_the_envelope(service: IpIntel, clock: ManualClock) -> None:
    clock.advance(1.75)
    body = json.loads(msgspec.json.encode(service.lookup("8.8.8.8")))
    VALIDATOR.validate(body)
    assert (set(body), body["success"]) == ({"success", "data", "queried_at"}, True)
    assert body["queried_at"] == "2026-02-20T12:00:01Z"
    check(body["data"])


def test_google_dns_as_the_vendor_answers_it(lookup: Lookup) -> None:
    record = record_of(lookup, "8.8.8.8")
    assert record["threat_assessment"] == {
        "score": 10,
        "level": "low",
        "categories": ["datacenter"],
        "reasons": ["Datacentre IP address"],
    }
    assert (record["country_code"], record["asn"], record["is_datacenter"], record["is_tor"]) == (
        "US",
        15169,
        True,
        False,
    )
    assert (record["country"], record["country_name"]) == ("United States", "United States")
    assert "is_vpn" not in record
    assert "is_proxy" not in record


def test_a_tor_exit(lookup: Lookup) -> None:
    record = record_of(lookup, addresses(lookup, "tor")[0])
    assert record["is_tor"] is True
    assert record["threat_assessment"]["score"] > 70
    assert record["threat_assessment"]["level"] == "high"
    assert record["blocklists"] == [{"name": "Tor exit nodes", "listed": True}]
    assert record["blacklists"] == [{"source": "Tor exit nodes", "category": "tor", "listed_at": ""}]
    assert "is_datacenter" not in record  # people run exits at home too


def test_the_list_of_exits_says_nothing_of_ipv6(lookup: Lookup) -> None:
    record = record_of(lookup, "2001:4860:4860::8888")
    assert "is_tor" not in record
    assert record["blocklists"] == []
    assert record["as_number"] == "AS15169"


def test_a_label_that_is_left_out_is_as_if_it_were_not_there(lookup: Lookup) -> None:
    chance = iter(range(0x01000000, 0xDF000000, 65_521))
    found = next(a for value in chance if iporigin.classify(a := IPv4Address(value)).provider in EXCLUDED)
    record = record_of(lookup, str(found))
    assert record["threat_assessment"] == {"score": 0, "level": "low", "categories": [], "reasons": []}
    assert "is_datacenter" not in record
    assert record["org"] == record["isp"]


def test_without_fetched_data_the_labels_are_there_and_it_is_said_once(tmp_path: Path) -> None:
    with capture_logs() as logs:
        lookup = Lookup(DataFolder(tmp_path))
        records = [record_of(lookup, address) for address in ("8.8.8.8", "1.1.1.1", "2a00::1")]
    assert [line["event"] for line in logs if "no IP data" in line["event"]] == [
        "no IP data: lookups know Tor exits, VPNs and datacentres, but no country, city or AS"
    ]
    assert records[0]["threat_assessment"]["score"] == 10
    for record in records:
        assert not {"latitude", "longitude", "asn"} & record.keys()
        assert {record[field] for field in TEXT - {"ip", "org"}} == {""}


PRIVATE = [
    "10.0.0.5",
    "172.31.255.255",
    "192.168.1.1",
    "127.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "198.18.0.1",
    "224.0.0.251",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "64:ff9b:1::1",
    "4000::",
    "::ffff:10.0.0.5",
    "64:ff9b::10.0.0.5",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_private_and_reserved_addresses_score_nothing(lookup: Lookup, text: str) -> None:
    record = record_of(lookup, text)
    check(record)
    assessment = record["threat_assessment"]
    assert (assessment["score"], assessment["level"], assessment["categories"]) == (0, "low", ["private"])
    assert len(assessment["reasons"]) == 1
    assert not {"latitude", "longitude", "asn", "is_tor", "is_vpn", "is_datacenter"} & record.keys()


@pytest.mark.parametrize(
    "text", ["9.255.255.255", "11.0.0.0", "172.32.0.0", "100.128.0.0", "223.255.255.255", "2a00::1"]
)
def test_neighbours_of_reserved_blocks_are_public(text: str) -> None:
    assert reserved(parse(text)) is None


def test_the_blocks_agree_with_the_standard_library() -> None:
    # The two registries' blocks that are marked as globally reachable differ between versions of Python.
    for row in RESERVED:
        network = ip_network(row.network)
        middle = network.network_address + network.num_addresses // 2
        assert reserved(middle) is not None
    for version, bits in ((4, 32), (6, 128)):
        for value in range(0, 1 << bits, (1 << bits) // 50_000):
            address = IPv4Address(value) if version == 4 else IPv6Address(value)
            if address.is_private or address.is_multicast or address.is_reserved:
                assert reserved(address) is not None, address


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("[::FFFF:808:808]", "8.8.8.8"),
        ("64:ff9b::8.8.8.8", "8.8.8.8"),
        ("[2001:4860:4860:0:0:0:0:8888]", "2001:4860:4860::8888"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25]", "fe80::1"),
    ],
)
def test_addresses_are_normalised(lookup: Lookup, text: str, normal: str) -> None:
    record = record_of(lookup, text)
    assert record["ip"] == normal
    assert record["ip_version"] == ip_address(normal).version


MALFORMED = [
    "999.1.1.1",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.4:80",
    "[1.2.3.4]",
    "[::1]:80",
    "[::1",
    "::1]",
    "1.2.3.4/8",
    "0x7f000001",
    "2130706433",
    "localhost",
    "example.com",
    "fe80::1%",
    "%eth0",
    ":::",
    "1::2::3",
    "12345::",
    "<b>8.8.8.8</b>",
]
HOSTILE = ["", " ", " 8.8.8.8", "8.8.8.8\n", "8.8.8.8\x00", "\u0661.1.1.1", "\x1b]0;title\x07", "\ud800", "[" * 99]


@pytest.mark.parametrize("text", [*MALFORMED, *HOSTILE, pytest.param("9" * 1_000_000, id="megabyte")])
def test_what_is_not_an_address_is_refused(lookup: Lookup, text: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        lookup.lookup(text)
    assert len(refused.value.message) < 500
    assert refused.value.message.isprintable()


@given(text=st.text(max_size=120))
@settings(max_examples=500, deadline=None)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse(text)
    except InvalidAddress:
        return
    assert parse(str(address)) == address


def test_ranges_are_what_the_package_answers(lookup: Lookup) -> None:
    for kind in ("tor", "vpn", "hosting"):
        listed = ranges(kind)
        assert listed
        for first, last, label in listed[:: max(1, len(listed) // 100)]:
            for value in (first, last):
                origin = iporigin.classify(IPv4Address(value))
                assert origin.kind in {kind, "reserved"}
                assert origin.provider in {label.provider, ""}
