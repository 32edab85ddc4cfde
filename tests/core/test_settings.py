from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lurewire.settings import SETTINGS, SettingError, Settings, load, parse

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str) -> Path:
    (folder / "lurewire.toml").write_text(text, encoding="utf-8")
    return folder


def test_without_file_and_environment_the_defaults_stand(tmp_path: Path) -> None:
    settings = load(tmp_path / "not there", {})
    assert settings.as_dict() == {s.name: s.default for s in SETTINGS}
    assert settings["server.host"] == "127.0.0.1", "loopback unless told otherwise"
    assert settings["outbound.allow_private"] is False


def test_every_default_fits_its_own_setting() -> None:
    assert len({s.name for s in SETTINGS}) == len(SETTINGS)
    assert [s.name for s in SETTINGS if not s.fits(s.default)] == []
    assert [s.name for s in SETTINGS if not s.help.endswith(".")] == []


def test_file_environment_and_command_line_in_rising_order(tmp_path: Path) -> None:
    write(tmp_path, '[server]\nport = 1001\nhost = "::1"\nnames = ["a.internal"]\n[sensor]\nssh_port = 22\n')
    settings = load(tmp_path, {"LUREWIRE_SERVER__PORT": "1002", "LUREWIRE_SENSOR__SSH_PORT": "23", "OTHER": "x"})
    settings = settings.with_values({"sensor.ssh_port": 24})
    found = [settings[n] for n in ("server.host", "server.port", "sensor.ssh_port", "sensor.http_port", "server.names")]
    assert found == ["::1", 1002, 24, 8080, ["a.internal"]]


def test_tables_in_a_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[outbound.routes]\nipinsights.io = "ipintel"\n"feeds.internal:8443" = "ipintel"\n'
        "[limits]\nanalytics.delay = 60\nquery_rows = 10\n",
    )
    settings = load(tmp_path, {})
    assert settings["outbound.routes"] == {"ipinsights.io": "ipintel", "feeds.internal:8443": "ipintel"}
    assert settings["limits"] == {"analytics.delay": 60, "query_rows": 10}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("server.port", "0", 0),
        ("server.host", "10.0.0.5", "10.0.0.5"),
        ("server.host", "", ""),
        ("sensor.enabled", "FALSE", False),
        ("sensor.enabled", "on", True),
        ("sensor.reverse_dns", "1", True),
        ("sensor.reverse_dns", "", False),
        ("sensor.proxy_from", " 10.0.0.0/8 , ::1,", ["10.0.0.0/8", "::1"]),
        ("sensor.proxy_from", "", []),
        (
            "outbound.routes",
            "a.example=ipintel, b.example:99 = ipintel",
            {"a.example": "ipintel", "b.example:99": "ipintel"},
        ),
        ("outbound.routes", "", {}),
        ("log.level", "debug", "debug"),
        ("limits", "analytics.delay=60,query_rows = 10", {"analytics.delay": 60, "query_rows": 10}),
    ],
)
def test_values_as_text(tmp_path: Path, name: str, text: str, value: Any) -> None:
    assert parse(name, text, "--set") == value
    variable = "LUREWIRE_" + name.upper().replace(".", "__")
    assert load(tmp_path, {variable: text})[name] == value


@pytest.mark.parametrize(
    ("name", "text", "expects"),
    [
        ("server.port", "eighty", "a number from 0 to 65535"),
        ("server.port", "--5", "a number from 0 to 65535"),
        ("server.port", "-1", "a number from 0 to 65535"),
        ("server.port", "65536", "a number from 0 to 65535"),
        ("server.port", "²", "a number from 0 to 65535"),
        ("server.port", "", "a number from 0 to 65535"),
        ("sensor.enabled", "maybe", "true or false"),
        ("outbound.routes", "a.example", "a table, each value text"),
        ("log.level", "loud", "one of debug, info, warning, error"),
    ],
)
def test_text_that_does_not_fit_is_refused(tmp_path: Path, name: str, text: str, expects: str) -> None:
    variable = "LUREWIRE_" + name.upper().replace(".", "__")
    given = int(text) if text in ("-1", "65536") else text
    for source, read in (
        ("--set", lambda: parse(name, text, "--set")),
        (variable, lambda: load(tmp_path, {variable: text})),
    ):
        with pytest.raises(SettingError) as caught:
            read()
        assert str(caught.value) == f"{source}: setting '{name}' takes {expects}, not {given!r}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server]\nport = '8443'", "setting 'server.port' takes a number from 0 to 65535, not '8443'"),
        ("[server]\nport = true", "setting 'server.port' takes a number"),
        ("[server]\nnames = [1]", "setting 'server.names' takes a list, each item text, not [1]"),
        ("[outbound.routes]\nipinsights.io = 1", "setting 'outbound.routes' takes a table, each value text"),
        ("[limits]\nanalytics.delay = 'x'", "'limits' takes a table, each value a whole number"),
        ("[limits]\nanalytics.delay = true", "'limits' takes a table, each value a whole number"),
        ("outbound.routes = 'x'", "setting 'outbound.routes' takes a table"),
        ("[server]\nprot = 1", "there is no setting 'server.prot'; `lurewire settings` lists them"),
        ("sensor = 1", "there is no setting 'sensor'"),
        ("[server\nport = 1", "at line 1"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SettingError) as caught:
        load(tmp_path, {})
    assert str(caught.value).startswith(f"{tmp_path / 'lurewire.toml'}: ")
    assert told in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lurewire.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="utf-8"):
        load(tmp_path, {})


def test_unknown_names_are_errors_where_a_person_wrote_them() -> None:
    with pytest.raises(SettingError, match=r"--set: there is no setting 'server\.prot'"):
        parse("server.prot", "1", "--set")
    with pytest.raises(SettingError, match="the command line: there is no setting 'x'"):
        Settings({}).with_values({"x": 1})
    with pytest.raises(KeyError):
        Settings({})["x"]
