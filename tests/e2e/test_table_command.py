"""`lurewire table`: out of a running Lurewire and into it again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from click.testing import CliRunner

from lurewire.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.supervisor import Running


async def test_out_and_in_again(now: Running, tmp_path: Path) -> None:
    file = tmp_path / "operation.parquet"

    async def run(*arguments: str) -> tuple[int, str]:
        command = [*arguments, "--folder", str(tmp_path / "state")]
        result = await asyncio.to_thread(CliRunner().invoke, main, command)
        return result.exit_code, result.output

    async def rows(table: str) -> int:
        _, shown = await run("query", f"{table} | summarize n = count()", "--json")
        return int(shown.strip().removeprefix('{"n": ').removesuffix("}"))

    before = await rows("Operation")
    assert before > 0, "the tables of the solutions were created"
    code, said = await run("table", "export", "Operation", str(file))
    assert (code, said) == (0, f"{before} rows of Operation are in {file}\n")
    code, said = await run("table", "export", "Operation", str(file))
    assert code == 1
    assert "is there already; --force replaces it" in said
    assert (await run("table", "export", "Operation", str(file), "--force"))[0] == 0
    code, said = await run("table", "import", "Copy_CL", str(file))
    assert code == 1
    assert "there is no table 'Copy_CL': create it" in said
    for _ in range(2):
        code, said = await run("table", "import", "Copy_CL", str(file), "--create", "--workspace", "lurewire")
        assert (code, said) == (0, f"{before} rows of {file} are in Copy_CL\n"), said
    assert await rows("Copy_CL") == before
    code, said = await run("table", "export", "Copy_CL", str(file), "--workspace", "nowhere")
    assert code == 1
    assert "no workspace has the name or id 'nowhere'" in said
    code, said = await run("table", "import", "Copy_CL", str(tmp_path / "nothing.parquet"))
    assert code == 1
    assert "No such file" in said
