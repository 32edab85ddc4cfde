"""`lurewire sample` against a running Lurewire: previewed, applied, sent to, queried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from lurewire.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.supervisor import Running, Supervisor

EVENT = {"timestamp": "2026-01-23T19:23:22Z", "source_ip": "198.51.100.7", "port": 22, "id": "\x1b[31m"}


def test_a_sample_becomes_a_table(supervisor: Supervisor, now: Running, tmp_path: Path) -> None:
    assert supervisor.running() == now
    folder = str(tmp_path / "state")
    sample = tmp_path / "events.ndjson"
    sample.write_text(f"{json.dumps(EVENT)}\n{json.dumps(EVENT)}\n", encoding="utf-8")

    def lurewire(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, [*arguments, "--folder", folder])
        assert done.exit_code == code, done.output
        return done.output

    shown = lurewire("sample", "preview", str(sample), "--table", "Mine_CL")
    assert "# source | project-rename id_ = id | extend TimeGenerated = timestamp\n" in shown
    assert shown.count('"source_ip": "198.51.100.7"') == 2
    assert "\x1b" not in shown
    wrong = lurewire("sample", "preview", str(sample), "--table", "Mine_CL", "--transform", "source | where x", code=1)
    assert "Error: line 1, column " in wrong
    refused = lurewire("sample", "apply", str(sample), "--table", "No", "--rule", "mine", code=1)
    assert "ends with _CL" in refused
    applied = lurewire("sample", "apply", str(sample), "--table", "Mine_CL", "--rule", "mine-dcr")
    assert f"# POST {now.url}/dataCollectionRules/dcr-" in applied
    assert "\nexport LUREWIRE_DCR_MINE_DCR=dcr-" in applied
    assert lurewire("query", "Mine_CL | getschema | where ColumnName == 'id_' | project ColumnType", "--json") == (
        '{"ColumnType": "string"}\n'
    )
