"""Started by `test_resume`: runs the one workflow in a state folder to its end, and reports it as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.playbooks.rig import WORKFLOW, Rig

from lurewire.core.clock import SystemClock
from lurewire.core.resources import ResourceId


async def main() -> None:
    rig = Rig(Path(sys.argv[1]), clock=SystemClock())
    await rig.open()
    done = await rig.finish(await rig.begin({}))
    report = {
        "status": done.row.status.value,
        "end": done["End"].outputs,
        "runs": len(rig.playbooks.history.runs(ResourceId.parse(WORKFLOW).key, 10)),
    }
    await rig.close()
    sys.stdout.write(json.dumps(report))


asyncio.run(main())
