"""One client process: replays packed bodies; a job as one JSON line on standard input, its results as one on standard output.

It says `ready` and is told when to start. `calls` bodies are sent; without `rate` each connection sends the next one when it has its answer (closed loop). With `rate`
(calls a second) a call's time runs from the moment that it was due, however late a connection was free for it (open loop).
`patient` clients wait and send again where the server says 429, the others go on, and stop when the time is over.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from ingestload.wire import Connection


class Client:
    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._bodies = [Path(name).read_bytes() for name in job["bodies"]]
        self._next = 0
        self._lock = threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.times: list[tuple[float, float]] = []  # when due, how long
        self.accepted: Counter[int] = Counter()
        self.failures: list[str] = []
        self._ready = threading.Barrier(job["connections"] + 1)
        self._start = 0.0

    def run(self) -> None:
        threads = [threading.Thread(target=self._guarded) for _ in range(self._job["connections"])]
        for thread in threads:
            thread.start()
        self._ready.wait()
        self._start = start_time()
        self._ready.wait()
        for thread in threads:
            thread.join()

    def _started(self) -> float:
        """When to start, once all connections are open."""
        self._ready.wait()
        self._ready.wait()
        return self._start

    def _guarded(self) -> None:
        try:
            self._send_all()
        except Exception as error:  # noqa: BLE001 - the bench reports it
            self.failures.append(repr(error))
            self._ready.abort()

    def _send_all(self) -> None:
        job, rate = self._job, self._job.get("rate")
        headers = (
            f"Authorization: Bearer {job['token']}\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        )
        with Connection(job["port"], job["ca"]) as connection:
            start = self._started()
            while True:
                with self._lock:
                    number = self._next
                    self._next += 1
                if number >= job["calls"]:
                    return
                if not job["patient"] and time.time() > start + job["calls"] / rate:
                    return
                due = start + job["delay"] + number / rate if rate else time.time()
                time.sleep(max(0.0, due - time.time()))
                which = (job["first"] + number) % len(self._bodies)
                named = f"{headers}x-ms-client-request-id: {uuid.uuid4()}\r\n"
                while True:
                    status, answered, _ = connection.post(job["path"], named, self._bodies[which])
                    self.statuses[status] += 1
                    if status != 429 or not job["patient"]:
                        break
                    time.sleep(float(answered["retry-after"]))
                if status == 204:
                    self.accepted[which] += 1
                    self.times.append((due, time.time() - due))


def start_time() -> float:
    """Say that this process is ready, and wait for the moment at which all begin."""
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    time.sleep(max(0.0, start - time.time()))
    return start


def main() -> None:
    client = Client(json.loads(sys.stdin.readline()))
    client.run()
    found = {
        "statuses": client.statuses,
        "times": client.times,
        "accepted": client.accepted,
        "failures": client.failures,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
