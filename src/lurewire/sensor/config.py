"""What the sensor is told at its start, as one JSON object: a file or standard input, for it holds a secret."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, get_type_hints

from lurewire.core.limits import Limits
from lurewire.sensor.limits import LIMITS

_ENDPOINT = re.compile(
    r"(?P<dce>https://[^/?#\s]+(?:/[^?#\s]*?)?)/dataCollectionRules/(?P<rule>[^/?#\s]+)/streams/?", re.IGNORECASE
)
_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*_CL")


class ConfigError(ValueError):
    """A setting of the sensor is missing, unknown or malformed; the message names it."""


@dataclass(frozen=True, slots=True)
class SentinelConfig:
    """Where events go: the fields of the connector's form, and where the token comes from.

    `endpoint_url` is `<DCE logs ingestion endpoint>/dataCollectionRules/<DCR immutable id>/streams/`. `authority_host`
    is empty for Microsoft Entra ID itself, `ca_file` for the public certificate authorities.
    """

    endpoint_url: str
    threats_table: str
    interactions_table: str
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    authority_host: str = ""
    ca_file: str = ""
    disable_instance_discovery: bool = False

    def __post_init__(self) -> None:
        if _ENDPOINT.fullmatch(self.endpoint_url) is None:
            msg = (
                f"connector.endpoint_url: {self.endpoint_url!r} is not of the form "
                "<DCE logs ingestion endpoint>/dataCollectionRules/<DCR immutable id>/streams/ (https)"
            )
            raise ConfigError(msg)
        for name in ("threats_table", "interactions_table"):
            if _TABLE.fullmatch(getattr(self, name)) is None:
                msg = f"connector.{name}: {getattr(self, name)!r} is not the name of a custom table (suffix _CL)"
                raise ConfigError(msg)
        if self.authority_host and not self.authority_host.startswith("https://"):
            raise ConfigError(f"connector.authority_host: {self.authority_host!r} does not begin with https://")

    @property
    def endpoint(self) -> str:
        """The data collection endpoint, as the ingestion client takes it."""
        return self._parts()["dce"]

    @property
    def rule_id(self) -> str:
        """The immutable id of the data collection rule."""
        return self._parts()["rule"]

    def _parts(self) -> dict[str, str]:
        match = _ENDPOINT.fullmatch(self.endpoint_url)
        assert match is not None
        return match.groupdict()


@dataclass(frozen=True, slots=True)
class SensorConfig:
    """Everything that the sensor process knows. Port 0 takes a free one.

    `entity_uuid` names this installation in the events, `ssh_host_key` is a file: each is made in `folder`, once, where it
    is empty. `proxy_from` are addresses and networks whose connections must begin with a PROXY protocol header; empty
    switches the protocol off. `login_after_failures` is how often a source must fail before the SSH decoy lets it in (0: never).
    `limits` overrides names of `LIMITS`; those of other rooms are left alone.
    """

    folder: str
    entity_uuid: str = ""
    ssh_host_key: str = ""
    host: str = "127.0.0.1"
    ssh_port: int = 0
    http_port: int = 0
    proxy_from: tuple[str, ...] = ()
    product: str = "Lurewire"
    vendor: str = "Lurewire"
    reverse_dns: bool = False
    login_after_failures: int = 3
    log_level: str = "info"
    connector: SentinelConfig | None = None
    limits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(isinstance(text, str) for text in self.proxy_from):
            raise ConfigError("proxy_from: expected a list of strings")
        if not all(isinstance(value, int) for value in self.limits.values()):
            raise ConfigError("limits: expected integers")
        _ = self.trusted_networks
        own = {name for name in self.limits if name.startswith("sensor.")}
        unknown = own - {limit.name for limit in LIMITS}
        if unknown:
            raise ConfigError(f"limits: unknown name {min(unknown)!r}")

    @property
    def database_path(self) -> Path:
        """`sensor.db` in the folder."""
        return Path(self.folder) / "sensor.db"

    @property
    def host_key_path(self) -> Path:
        """Where the SSH decoy's host key is."""
        return Path(self.ssh_host_key) if self.ssh_host_key else Path(self.folder) / "ssh_host_ed25519_key"

    @property
    def room_limits(self) -> Limits:
        """`LIMITS` with the overrides."""
        return Limits(LIMITS, self.limits)

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`proxy_from`, parsed."""
        try:
            return tuple(ip_network(text) for text in self.proxy_from)
        except ValueError as error:
            raise ConfigError(f"proxy_from: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `from_dict` reads; it holds the client secret."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> SensorConfig:
        """The configuration that `data` describes; raises `ConfigError` for what is not one."""
        checked = _checked(cls, data, "")
        if checked.get("connector") is not None:
            checked["connector"] = SentinelConfig(**_checked(SentinelConfig, checked["connector"], "connector."))
        return cls(**checked)


_KINDS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    tuple[str, ...]: (list, tuple),
    dict[str, int]: (dict,),
    SentinelConfig | None: (dict, type(None)),
}


def _checked(kind: type[SensorConfig | SentinelConfig], data: object, prefix: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f"{prefix or 'configuration'}: expected a JSON object, found {type(data).__name__}")
    hints = get_type_hints(kind)
    names = {item.name: item for item in fields(kind)}
    checked: dict[str, Any] = {}
    for name, value in data.items():
        if name not in names:
            raise ConfigError(f"{prefix}{name}: unknown setting")
        accepted = _KINDS[hints[name]]
        if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
            raise ConfigError(f"{prefix}{name}: expected {accepted[0].__name__}, found {type(value).__name__}")
        checked[name] = tuple(value) if isinstance(value, list) else value
    missing = [item.name for item in names.values() if _required(item) and item.name not in checked]
    if missing:
        raise ConfigError(f"{prefix}{missing[0]}: missing")
    return checked


def _required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING
