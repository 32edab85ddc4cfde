"""Run the benches by name, or all: `python bench/run.py all|NAME`. Each prints a table and one JSON line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    names = sorted(f.stem for f in HERE.glob("*.py") if f.stem not in ("run", "common"))
    if wanted != "all" and wanted not in names:
        print(f"no bench '{wanted}'; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names if wanted == "all" else [wanted]:
        print(f"== {name}", flush=True)
        failed |= subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
