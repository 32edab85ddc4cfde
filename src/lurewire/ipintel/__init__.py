"""IP lookup: location, AS, Tor exit, VPN, datacentre, and a score from declared evidence."""

from lurewire.ipintel.data import DataFolder
from lurewire.ipintel.errors import DataError, FetchError, InvalidAddress, KeyExistsError, PickError
from lurewire.ipintel.fetch import fetch
from lurewire.ipintel.lookup import Lookup
from lurewire.ipintel.models import AddressRecord, Answer
from lurewire.ipintel.pick import addresses, pick_address
from lurewire.ipintel.quota import LIMITS
from lurewire.ipintel.routes import routes
from lurewire.ipintel.service import IpIntel
from lurewire.ipintel.sources import ATTRIBUTIONS

__all__ = [
    "ATTRIBUTIONS",
    "LIMITS",
    "AddressRecord",
    "Answer",
    "DataError",
    "DataFolder",
    "FetchError",
    "InvalidAddress",
    "IpIntel",
    "KeyExistsError",
    "Lookup",
    "PickError",
    "addresses",
    "fetch",
    "pick_address",
    "routes",
]
