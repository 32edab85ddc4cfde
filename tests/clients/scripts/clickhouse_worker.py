"""Answers SQL with ClickHouse: one JSON object `{"sql", "parameters"}` a line in, `{"rows"}` or `{"error"}` a line out."""

from __future__ import annotations

import json
import sys

import chdb

SETTINGS = "SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_denormals = 1"

for line in sys.stdin:
    asked = json.loads(line)
    try:
        found = chdb.query(f"{asked['sql']} {SETTINGS}", "JSONCompact", params=asked["parameters"])
        answer = {"rows": json.loads(found.bytes())["data"]}
    except RuntimeError as error:
        answer = {"error": str(error)[:2000]}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
