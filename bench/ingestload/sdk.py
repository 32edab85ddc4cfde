"""One client process that uploads by Microsoft's SDK; the same job as `client.py` takes, with NDJSON files for bodies."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

from ingestload.client import start_time


def main() -> None:
    job = json.loads(sys.stdin.readline())
    records = [[json.loads(line) for line in Path(name).read_text().splitlines()] for name in job["bodies"]]
    credential = ClientSecretCredential(
        job["tenant"],
        job["client_id"],
        job["client_secret"],
        authority=job["url"],
        disable_instance_discovery=True,
        connection_verify=job["ca"],
    )
    with LogsIngestionClient(job["url"], credential, connection_verify=job["ca"]) as client:
        credential.get_token("https://monitor.azure.com/.default")
        start_time()
        for number in range(job["calls"]):
            client.upload(job["rule"], job["stream"], records[(job["first"] + number) % len(records)])
    print(json.dumps({}))


if __name__ == "__main__":
    main()
