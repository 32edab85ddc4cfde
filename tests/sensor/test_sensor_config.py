from __future__ import annotations

import json
from typing import Any

import pytest

from lurewire.sensor import ConfigError, SensorConfig, SentinelConfig

CONNECTOR: dict[str, Any] = {
    "endpoint_url": "https://dce-x1.westeurope-1.ingest.monitor.azure.com/dataCollectionRules/dcr-00/streams/",
    "threats_table": "TrapEye_Threats_CL",
    "interactions_table": "TrapEye_Interactions_CL",
    "tenant_id": "t",
    "client_id": "c",
    "client_secret": "s3cret",
}


def test_a_configuration_survives_json() -> None:
    config = SensorConfig(
        folder="/x",
        proxy_from=("127.0.0.2", "10.0.0.0/8"),
        limits={"sensor.connections": 3, "query_rows": 5},
        connector=SentinelConfig(**CONNECTOR),
    )
    assert SensorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_endpoint_url_is_taken_apart() -> None:
    connector = SentinelConfig(**CONNECTOR)
    assert connector.endpoint == "https://dce-x1.westeurope-1.ingest.monitor.azure.com"
    assert connector.rule_id == "dcr-00"
    local = SentinelConfig(
        **CONNECTOR | {"endpoint_url": "https://localhost:8443/dce/datacollectionrules/dcr-1/streams"}
    )
    assert (local.endpoint, local.rule_id) == ("https://localhost:8443/dce", "dcr-1")


def test_the_secret_is_not_shown() -> None:
    assert "s3cret" not in repr(SensorConfig(folder="/x", connector=SentinelConfig(**CONNECTOR)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "folder: missing"),
        ({"folder": "/x", "ssh_prot": 1}, "ssh_prot: unknown setting"),
        ({"folder": "/x", "ssh_port": "22"}, "ssh_port: expected int, found str"),
        ({"folder": "/x", "ssh_port": True}, "ssh_port: expected int, found bool"),
        ({"folder": "/x", "proxy_from": ["10.0.0.1/8"]}, "proxy_from: 10.0.0.1/8 has host bits set"),
        ({"folder": "/x", "limits": {"sensor.conections": 1}}, "limits: unknown name 'sensor.conections'"),
        ({"folder": "/x", "connector": []}, "connector: expected dict, found list"),
        ({"folder": "/x", "connector": {}}, "connector.endpoint_url: missing"),
        ({"folder": "/x", "connector": CONNECTOR | {"threats_table": "T"}}, "connector.threats_table"),
        ({"folder": "/x", "connector": CONNECTOR | {"endpoint_url": "http://x/y"}}, "connector.endpoint_url"),
        ({"folder": "/x", "connector": CONNECTOR | {"authority_host": "http://x"}}, "connector.authority_host"),
    ],
)
def test_a_wrong_setting_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SensorConfig.from_dict(data)
    assert message in str(caught.value)
