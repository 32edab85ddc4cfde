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
    """One setting; `kind` is its type, `default` the value that it has when nobody sets it."""

    name: str
    kind: type[Any]
    default: Any
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "server.host", str, "127.0.0.1", "Address that the core process binds to. Loopback unless you say otherwise."
    ),
    Setting("server.port", int, 8443, "HTTPS port of the core process; 0 takes a free one."),
    Setting("server.names", list, [], "Further local names and private addresses that the certificate covers."),
    Setting("log.level", str, "info", "Least level of the lines that are logged: debug, info, warning or error."),
    Setting("sensor.enabled", bool, True, "Run the sensor process with its decoys."),
    Setting("sensor.host", str, "127.0.0.1", "Address that the decoys bind to."),
    Setting("sensor.ssh_port", int, 2222, "Port of the SSH decoy; 0 takes a free one."),
    Setting("sensor.http_port", int, 8080, "Port of the HTTP decoy; 0 takes a free one."),
    Setting(
        "sensor.proxy_from", list, [], "Addresses or networks whose PROXY protocol header is believed. Empty: off."
    ),
    Setting("sensor.reverse_dns", bool, False, "Look up the DNS name of a source. It tells the source's name server."),
    Setting("sensor.product", str, "Lurewire", "Product in the events' @meta."),
    Setting("sensor.vendor", str, "Lurewire", "Vendor in the events' @meta."),
    Setting(
        "outbound.routes",
        dict,
        {"ipinsights.io": "ipintel"},
        "Hosts (host or host:port) that playbooks reach inside this process, each with the room that answers. "
        "The only way past the guard against private addresses.",
    ),
    Setting("outbound.allow_private", bool, False, "Let playbooks call private and loopback addresses."),
    Setting("analytics.fire_late", bool, False, "Fire for rows that arrived too late for every scheduled window."),
    Setting("solutions", list, ["trapeye", "lurewire", "ipinsights"], "Solutions that the first start deploys."),
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
        except tomllib.TOMLDecodeError as error:
            msg = f"{file}: {error}"
            raise SettingError(msg) from error
        for name, value in _flatten(tree, ""):
            values[name] = _checked(name, value, str(file))
    for variable, text in sorted((environ if environ is not None else os.environ).items()):
        name = variable.removeprefix("LUREWIRE_").lower().replace("__", ".")
        if variable.startswith("LUREWIRE_") and name in _BY_NAME:
            values[name] = _from_text(_BY_NAME[name], text, variable)
    return Settings(values)


def _flatten(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in _BY_NAME:
            found += _flatten(value, f"{name}.")
        else:
            found.append((name, value))
    return found


def _checked(name: str, value: Any, source: str) -> Any:
    setting = _BY_NAME.get(name)
    if setting is None:
        msg = f"{source}: there is no setting '{name}'; `lurewire settings` lists them"
        raise SettingError(msg)
    fits = isinstance(value, setting.kind) and not (setting.kind is int and isinstance(value, bool))
    if not fits:
        msg = f"{source}: setting '{name}' takes {setting.kind.__name__}, not {value!r}"
        raise SettingError(msg)
    return value


def _from_text(setting: Setting, text: str, source: str) -> Any:
    if setting.kind is str:
        return text
    if setting.kind is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off", ""):
            return False
    if setting.kind is int and text.lstrip("-").isdigit():
        return int(text)
    if setting.kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if setting.kind is dict:
        pairs = [part.split("=", 1) for part in text.split(",") if part.strip()]
        if all(len(pair) == 2 for pair in pairs):
            return {k.strip(): v.strip() for k, v in pairs}
    msg = f"{source}: setting '{setting.name}' takes {setting.kind.__name__}, not {text!r}"
    raise SettingError(msg)
