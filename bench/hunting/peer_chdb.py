"""ClickHouse's own KQL in a process of its own: a request a line, an answer a line. Runs in that peer's environment."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from chdb import session


def main() -> None:
    engine = session.Session()
    engine.query("CREATE DATABASE IF NOT EXISTS hunting")
    engine.query("USE hunting")
    for file in sorted(Path(sys.argv[1]).glob("*.parquet")):
        engine.query(f"CREATE TABLE hunting.{file.stem} ENGINE = MergeTree ORDER BY TimeGenerated AS "
                     f"SELECT * FROM file('{file}', 'Parquet') SETTINGS schema_inference_make_columns_nullable = 'auto'")  # fmt: skip
    engine.query(f"SET max_threads = {int(sys.argv[2])}")
    engine.query("SET allow_experimental_kusto_dialect = 1")
    engine.query("SET dialect = 'kusto'")
    for line in sys.stdin:
        try:
            start = time.perf_counter()
            text = str(engine.query(json.loads(line)["query"], "TabSeparated"))
            answer: dict[str, object] = {"seconds": time.perf_counter() - start, "rows": text.count("\n")}
        except Exception as error:  # noqa: BLE001 - whatever stops a peer counts as not done
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
