"""What the engine alone can do: DuckDB loads the same records, as NDJSON, through the same transform, in one statement.

Arguments: a database file to make, threads, the NDJSON file, and how many times it is read.
Prints seconds, CPU seconds and rows as one JSON line; the checkpoint that makes the rows durable is included.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import duckdb

_COLUMNS = {
    "@meta": "STRUCT(product VARCHAR, vendor VARCHAR)",
    "entity_uuid": "VARCHAR",
    "event": "VARCHAR",
    "event_type": "VARCHAR",
    "first_interaction": "TIMESTAMP",
    "last_interaction": "TIMESTAMP",
    "reverse_lookup": "VARCHAR",
    "source_asn": "VARCHAR",
    "source_country": "VARCHAR",
    "source_ip": "VARCHAR",
    "threat_uuid": "VARCHAR",
}
_TRANSFORM = """
insert into threats
select first_interaction, entity_uuid, event, event_type, first_interaction, last_interaction, reverse_lookup, source_asn,
  source_country, source_ip, threat_uuid, "@meta".product, "@meta".vendor
from read_json($files, format = 'newline_delimited', columns = {columns}) where event_type = 'new_threat'
"""
_TABLE = """
create table threats(TimeGenerated timestamp, entity_uuid varchar, event varchar, event_type varchar,
  first_interaction timestamp, last_interaction timestamp, reverse_lookup varchar, source_asn varchar,
  source_country varchar, source_ip varchar, threat_uuid varchar, Product varchar, Vendor varchar)
"""


def main() -> None:
    file, threads, lines, times = sys.argv[1:]
    connection = duckdb.connect(file, config={"threads": threads, "memory_limit": "1024MB"})
    connection.execute(_TABLE)
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in _COLUMNS.items()) + "}"
    files = [lines] * int(times)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    connection.execute(_TRANSFORM.replace("{columns}", columns), {"files": files})
    connection.execute("checkpoint")
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    ((rows,),) = connection.execute("select count(*) from threats").fetchall()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": rows}))


if __name__ == "__main__":
    main()
