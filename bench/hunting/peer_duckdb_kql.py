"""duckdb-kql in a process of its own: a request a line, an answer a line. Runs in that peer's environment."""

from __future__ import annotations

import json
import sys
import time

import duckdb
import duckdb_kql


def _answer(request: dict, connection: duckdb.DuckDBPyConnection | None) -> dict:  # type: ignore[type-arg]
    start = time.perf_counter()
    sql = duckdb_kql.to_sql(request["query"], schema=request.get("schema"), query_now=request.get("now"))
    translated = time.perf_counter()
    if connection is None:
        return {"seconds": translated - start}
    rows = connection.execute(str(sql), dict(sql.parameters) or None).fetchall()
    return {"seconds": time.perf_counter() - start, "rows": len(rows)}


def main() -> None:
    connection = None
    if len(sys.argv) > 1:
        connection = duckdb.connect(sys.argv[1], read_only=True)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET threads = {int(sys.argv[2])}")
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), connection)
        except Exception as error:  # noqa: BLE001 - whatever stops a peer counts as not done
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
