"""One address, all that the installed data knows of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import maxminddb
from msgspec import UNSET, UnsetType

from lurewire.core.log import get_logger
from lurewire.ipintel.addresses import parse, reserved
from lurewire.ipintel.asn import AsnIndex
from lurewire.ipintel.countries import COUNTRIES
from lurewire.ipintel.data import ASN_INDEX, CITY_V4, CITY_V6, DataFolder
from lurewire.ipintel.errors import DataError
from lurewire.ipintel.labels import Label, label_of, unknown_labels
from lurewire.ipintel.models import AddressRecord, Blacklisting, Blocklist, ThreatAssessment
from lurewire.ipintel.scoring import EVIDENCE_OF_LABEL, KINDS, assess

if TYPE_CHECKING:
    from lurewire.ipintel.addresses import Address

_log = get_logger("ipintel")

TOR_LIST = "Tor exit nodes"
_CACHED = 4096
_NO_EVIDENCE = assess((), "")


class Lookup:
    """Answers from the data in `folder` (default: this user's), and from `iporigin` alone where nothing is there.

    The data is opened once; newer data is seen by a new `Lookup`. Any thread may call it.
    Raises `DataError` where the data is there but cannot be read.
    """

    def __init__(self, folder: DataFolder | None = None) -> None:
        folder = folder or DataFolder.default()
        installed = folder.installed()
        self.asn: AsnIndex | None = None
        """The index of autonomous systems; None where no data was fetched."""
        self._city: dict[int, maxminddb.Reader] = {}
        if installed is None:
            _log.warning(
                "no IP data: lookups know Tor exits, VPNs and datacentres, but no country, city or AS",
                folder=str(folder.path),
            )
        else:
            try:
                self.asn = AsnIndex(installed.path / ASN_INDEX)
                for version, file in ((4, CITY_V4), (6, CITY_V6)):
                    self._city[version] = maxminddb.open_database(installed.path / file)
            except (OSError, maxminddb.InvalidDatabaseError) as error:
                msg = f"the IP data in {installed.path} cannot be read ({error}); delete that folder and fetch it again"
                raise DataError(msg) from error
        if unknown := unknown_labels():
            _log.warning("iporigin has labels whose terms are not known here: left out", labels=", ".join(unknown))
        self._record = functools.lru_cache(maxsize=_CACHED)(self._make)

    def lookup(self, text: str) -> AddressRecord:
        """The record of the address that `text` writes; raises `InvalidAddress`."""
        return self._record(parse(text))

    def label(self, address: Address) -> Label | None:
        """The label of a public address, if it has one."""
        return label_of(address)

    def close(self) -> None:
        """Release the files."""
        if self.asn is not None:
            self.asn.close()
        for reader in self._city.values():
            reader.close()

    def _make(self, address: Address) -> AddressRecord:
        block = reserved(address)
        if block is not None:
            return AddressRecord(
                ip=str(address),
                ip_version=address.version,
                threat_assessment=assess(("private",), f"{block.name} ({block.document})"),
            )
        label = label_of(address)
        kind = KINDS[label.kind] if label else None
        # The list of exits is complete for IPv4 and has no IPv6: absence means "no" only there.
        # The other lists are not complete, so that absence from them means nothing.
        is_tor = (kind is not None and kind.is_tor) if address.version == 4 else UNSET
        location = self._location(address)
        system = self.asn.find(address) if self.asn else None
        name = system.name if system else ""
        return AddressRecord(
            ip=str(address),
            **location,
            asn=system.number if system else UNSET,
            org=label.provider if label and kind and kind.names else name,
            isp=name,
            is_tor=is_tor,
            is_vpn=_true_or_unknown(kind is not None and kind.is_vpn),
            is_datacenter=_true_or_unknown(kind is not None and kind.is_datacenter),
            threat_assessment=_assessment(label),
            blocklists=() if is_tor is UNSET else (Blocklist(TOR_LIST, is_tor),),
            ip_version=address.version,
            as_number=f"AS{system.number}" if system else "",
            as_name=name,
            blacklists=(Blacklisting(TOR_LIST, "tor", ""),) if is_tor is True else (),
        )

    def _location(self, address: Address) -> dict[str, Any]:
        reader = self._city.get(address.version)
        found: Any = reader.get(address) if reader else None
        if not found:
            return {}
        code = found["country_code"]
        country = COUNTRIES.get(code, "")
        return {
            "city": found["city"],
            "region": found["state1"],
            "region_name": found["state1"],
            "country": country,
            "country_name": country,
            "country_code": code,
            # Stored as 32-bit floats: four decimals (11 m) are all that they mean.
            "latitude": round(found["latitude"], 4),
            "longitude": round(found["longitude"], 4),
            "timezone": found["timezone"],
        }


def _true_or_unknown(known: bool) -> bool | UnsetType:
    return True if known else UNSET


@functools.cache
def _assessment(label: Label | None) -> ThreatAssessment:
    if label is None:
        return _NO_EVIDENCE
    return assess(EVIDENCE_OF_LABEL.get(label.provider, KINDS[label.kind].evidence), label.provider)
