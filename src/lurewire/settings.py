"""Every setting, declared once: name, type, default, help. The manual's table is made from this one.

A setting comes from, in rising order: its default, the file `lurewire.toml` of the state folder, an environment
variable (`LUREWIRE_` and the name in capitals, dots as two underscores), the command line.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class SettingError(Exception):
    """A setting is unknown or its value does not fit; says which, where it came from and what would fit."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; `kind` is its type, `default` the value that it has when nobody sets it.

    `choices`, where there are any, are the values that fit; `item` is the type of what a list or table holds.
    """

    name: str
    kind: type[Any]
    default: Any
    help: str
    choices: tuple[str, ...] | range = ()
    item: type[str | int] = str

    def fits(self, value: Any) -> bool:
        """Whether `value` is one that the setting can have."""
        if not _is(self.kind, value):
            return False
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return all(_is(self.item, item) for item in items) and (not self.choices or value in self.choices)

    @property
    def expects(self) -> str:
        """What fits, in words."""
        if isinstance(self.choices, range):
            return f"a number from {self.choices.start} to {self.choices.stop - 1}"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return _KINDS[self.kind].format(_KINDS[self.item])


def _is(kind: type[Any], value: Any) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


_KINDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    list: "a list, each item {}",
    dict: "a table, each value {}",
}

_PORTS = range(65536)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "server.host", str, "127.0.0.1", "Address that the core process binds to. Loopback unless you say otherwise."
    ),
    Setting("server.port", int, 8443, "HTTPS port of the core process; 0 takes a free one.", _PORTS),
    Setting("server.names", list, [], "Further local names and private addresses that the certificate covers."),
    Setting(
        "identity.imds",
        str,
        "",
        "User-assigned identity (name or ARM id) whose tokens the instance metadata endpoint gives to every process on this machine; empty: off.",
    ),
    Setting(
        "identity.rotate_keys_days",
        int,
        42,
        "Days after which tokens are signed with a new key; 0: only when told to. Older keys verify until their tokens have expired.",
        range(3651),
    ),
    Setting(
        "log.level",
        str,
        "info",
        "Least level of the lines that are logged.",
        ("debug", "info", "warning", "error"),
    ),
    Setting("sensor.enabled", bool, True, "Run the sensor process with its decoys."),
    Setting("sensor.host", str, "127.0.0.1", "Address that the decoys bind to."),
    Setting("sensor.ssh_port", int, 2222, "Port of the SSH decoy; 0 takes a free one.", _PORTS),
    Setting("sensor.http_port", int, 8080, "Port of the HTTP decoy; 0 takes a free one.", _PORTS),
    Setting(
        "sensor.proxy_from", list, [], "Addresses or networks whose PROXY protocol header is believed. Empty: off."
    ),
    Setting("sensor.reverse_dns", bool, False, "Look up the DNS name of a source. It tells the source's name server."),
    Setting(
        "sensor.login_after_failures", int, 3, "Failed logins after which the SSH decoy lets a source in; 0: never."
    ),
    Setting("sensor.product", str, "Lurewire", "Product in the events' @meta."),
    Setting("sensor.vendor", str, "Lurewire", "Vendor in the events' @meta."),
    Setting(
        "outbound.routes",
        dict,
        {"ipinsights.io": "ipintel"},
        "Hosts (host or host:port) that playbooks reach inside this process, each with the room that answers. "
        "The only way past the guard against private addresses.",
    ),
    Setting(
        "testbench.enabled",
        bool,
        False,
        "Run as a test bench for client authors: faults on request and a log of what was received. Never in production.",
    ),
    Setting(
        "arm.register_first",
        bool,
        False,
        "Refuse resources of a provider that nobody registered, as a new subscription of Azure does. Off: every provider is registered.",
    ),
    Setting(
        "outbound.allow_private",
        bool,
        False,
        "Let playbooks and links of templates reach private and loopback addresses.",
    ),
    Setting(
        "ingestion.clamp_time",
        bool,
        True,
        "Replace a TimeGenerated that is far from the time of receipt by the time of receipt, as Azure does. Off: keep it, "
        "to load events of the past.",
    ),
    Setting(
        "ingestion.tables",
        list,
        [],
        "Tables of Azure that data collection rules may write to beside those that Azure lets them write to; `*` is all.",
    ),
    Setting(
        "ingestion.endpoint_paths",
        bool,
        False,
        "Give every data collection endpoint and direct rule a URL of its own when it is written, and refuse calls that come "
        "by it for rules that are not bound to it, as Azure does. Off: all have one URL, and it is everybody's.",
    ),
    Setting("analytics.fire_late", bool, False, "Fire for rows that arrived too late for every scheduled window."),
    Setting(
        "workspace.external",
        list,
        [],
        "Prefixes of https URLs that externaldata may read. Files of the folder `external` of the state folder it may "
        "always read, by their names.",
    ),
    Setting("solutions", list, ["trapeye", "lurewire", "ipinsights"], "Solutions that the first start deploys."),
    Setting(
        "limits",
        dict,
        {},
        "Limits that differ from the documented ones, by name: see the manual's table of limits.",
        item=int,
    ),
    Setting("ipintel.data", str, "", "Folder of the IP data. Empty: the user's data folder."),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Settings:
    """The values of all settings; `settings["server.port"]`. Raises `KeyError` for a name that is not declared."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {setting.name: setting.default for setting in SETTINGS} | dict(values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def as_dict(self) -> dict[str, Any]:
        """All values, as JSON can carry them to another process."""
        return dict(self._values)

    def with_values(self, values: Mapping[str, Any]) -> Settings:
        """A copy in which `values` stand; they are checked as if they came from a command line."""
        return Settings(self._values | {k: _checked(k, v, "the command line") for k, v in values.items()})


def load(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a state folder, with the environment's on top. Raises `SettingError`."""
    values: dict[str, Any] = {}
    file = folder / "lurewire.toml"
    if file.exists():
        try:
            tree = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            msg = f"{file}: {error}"
            raise SettingError(msg) from error
        for name, value in _flatten(tree, ""):
            values[name] = _checked(name, value, str(file))
    for variable, text in sorted((environ if environ is not None else os.environ).items()):
        name = variable.removeprefix("LUREWIRE_").lower().replace("__", ".")
        if variable.startswith("LUREWIRE_") and name in _BY_NAME:
            values[name] = parse(name, text, variable)
    return Settings(values)


def parse(name: str, text: str, source: str) -> Any:
    """The value of setting `name` written as text, as an environment or a command line gives it.

    Lists are written `a,b`, tables `a=x,b=y`. Raises `SettingError`.
    """
    setting = _BY_NAME.get(name)
    return _checked(name, text if setting is None else _from_text(setting, text), source)


def _flatten(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if not isinstance(value, dict):
            found.append((name, value))
        elif name in _BY_NAME:
            # TOML reads a bare `ipinsights.io = ...` as a table in a table; as a host or a limit it is one name.
            found.append((name, dict(_flatten(value, ""))))
        else:
            found += _flatten(value, f"{name}.")
    return found


def _checked(name: str, value: Any, source: str) -> Any:
    setting = _BY_NAME.get(name)
    if setting is None:
        msg = f"{source}: there is no setting '{name}'; `lurewire settings` lists them"
        raise SettingError(msg)
    if not setting.fits(value):
        msg = f"{source}: setting '{name}' takes {setting.expects}, not {value!r}"
        raise SettingError(msg)
    return value


def _from_text(setting: Setting, text: str) -> Any:
    """The value that `text` stands for; `text` itself, which will not fit, where it stands for none."""
    if setting.kind is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off", ""):
            return False
    if setting.kind is int:
        return _number(text)
    if setting.kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if setting.kind is dict:
        pairs = [part.split("=", 1) for part in text.split(",") if part.strip()]
        if all(len(pair) == 2 for pair in pairs):
            return {k.strip(): _number(v.strip()) if setting.item is int else v.strip() for k, v in pairs}
    return text


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() else text
