"""Ingestion, from HTTPS to rows that a query finds, against DuckDB's own bulk load of the same data.

    python bench/ingest.py [--mb 2000] [--seconds 60] [--phases flat,sdk,steady,queries,overload]

The server is a process as `lurewire up` runs it: HTTPS, tokens, the seed's data collection rule with its transform, syncs on;
only the limits per rule are raised. Four client processes on the same cores replay calls of one megabyte, compressed
beforehand, over connections that are kept alive.

flat: as fast as it goes; the time ends when every row is visible in a query. Beside it, nothing else running, DuckDB loads the
  same records as NDJSON with the same transform (mean of a run before and one after). sdk: the same through Microsoft's SDK.
steady: 16.5 MB/s (a call's time counts from when it was due), and from a 204 to the row in a query. queries: the same while
  five queries of 500,000 rows are under way at any time. overload: twice the flat figure is offered, whatever is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import finish, percentile
from ingestload.data import make_bodies
from ingestload.probes import Probe, Watch, queries_until
from ingestload.rig import MB, Rig, bulk_load
from lurewire.supervisor import ask_control

if TYPE_CHECKING:
    from ingestload.data import Bodies

GOAL = {
    "flat_cpu_ratio": 2.2,
    "steady_ack_p99_s": 0.05,
    "steady_visible_p99_s": 1.0,
    "queries_visible_p99_s": 1.0,
    "queries_lag_max_s": 0.1,
    "overload_memory_mb": 1500,
}
AT_LEAST = {"flat_mb_s": 66.0, "flat_ratio": 0.5}
PHASES = ("flat", "sdk", "steady", "queries", "overload")
STEADY_MB_S = 16.5
# Of each client process.
MIXED_CONNECTIONS = 8
MANY_CONNECTIONS = 48
SDK_PART = 0.2  # of the data: the SDK's own work takes most of the machine


def flat(rig: Rig, bodies: Bodies, folder: Path, megabytes: int) -> dict[str, float]:
    times = max(1, round(megabytes * MB / sum(bodies.sizes)))
    bulks = [bulk_load(folder, bodies, times)]
    with Watch(rig) as watch:
        sent = rig.send(times * len(bodies.sizes), connections=2)
        acked = max(due + took for due, took in sent.times)
        loaded = rig.settle()
        cpu = rig.cpu() - sent.cpu
    bulks.append(bulk_load(folder, bodies, times))
    size = sent.size / MB
    bulk_mb_s = 2 / sum(bulk["seconds"] for bulk in bulks)
    bulk_cpu = sum(bulk["cpu"] for bulk in bulks) / 2
    ours = size / (loaded - sent.started)
    print(f"flat out, {size:,.0f} MB        MB/s     CPU ms/MB")
    print(
        f"  Lurewire               {ours:7.1f}  {1000 * cpu / size:7.2f}   acknowledged {size / (acked - sent.started):.1f} MB/s"
    )
    print(f"  DuckDB's bulk load     {bulk_mb_s:7.1f}  {1000 * bulk_cpu:7.2f}")
    print(f"  Lurewire / bulk load   {ours / bulk_mb_s:7.2f}  {cpu / size / bulk_cpu:7.2f}")
    return {
        "flat_mb": size,
        "flat_mb_s": ours,
        "flat_acked_mb_s": size / (acked - sent.started),
        "flat_ack_p99_s": percentile([took for _, took in sent.times], 99),
        "flat_cpu_ms_mb": 1000 * cpu / size,
        "flat_memory_mb": watch.most / MB,
        "flat_429": sent.statuses[429],
        "bulk_mb_s": bulk_mb_s,
        "bulk_cpu_ms_mb": 1000 * bulk_cpu,
        "flat_ratio": ours / bulk_mb_s,
        "flat_cpu_ratio": cpu / size / bulk_cpu,
    }


def sdk(rig: Rig, bodies: Bodies, megabytes: int) -> dict[str, float]:
    calls = max(4, int(megabytes * SDK_PART) * MB * len(bodies.sizes) // sum(bodies.sizes))
    sent = rig.send(calls, connections=1, sdk=True)
    size, seconds = sent.size / MB, rig.settle() - sent.started
    cpu = rig.cpu() - sent.cpu
    print(f"the SDK as client        {size / seconds:7.1f}  {1000 * cpu / size:7.2f}")
    return {"sdk_mb_s": size / seconds, "sdk_cpu_ms_mb": 1000 * cpu / size}


def steady(rig: Rig, bodies: Bodies, seconds: float, name: str) -> dict[str, float]:
    """Latencies at a moderate load; `queries` adds the queries beside it."""
    rate = STEADY_MB_S * MB * len(bodies.sizes) / sum(bodies.sizes)
    lags: list[float] = []

    def lag() -> None:
        lags.extend(ask_control(rig.now.control, "/loop-lag", {"seconds": seconds})["late"])

    over = threading.Event()
    probe = Probe(rig)
    others = [threading.Thread(target=lag), threading.Thread(target=probe.run, args=(over,))]
    if name == "queries":
        others += [
            threading.Thread(target=queries_until, args=(rig, over, probe.failures, probe.done)) for _ in range(5)
        ]
    began = time.time()
    for other in others:
        other.start()
    sent = rig.send(int(rate * seconds), connections=MIXED_CONNECTIONS, rate=rate)
    over.set()
    for other in others:
        other.join()
    if probe.failures:
        raise RuntimeError(probe.failures[0])
    rig.rows += probe.rows
    cpu = rig.cpu() - sent.cpu
    rig.settle()
    acks = [took for _, took in sent.times]
    beside = (
        f"; {len(probe.done)} queries of 500,000 rows, {sum(probe.done) / len(probe.done):.1f} s each"
        if probe.done
        else ""
    )
    print(f"{STEADY_MB_S} MB/s for {time.time() - began:.0f} s{beside}")
    figures: dict[str, float] = {f"{name}_cpu_ms_mb": 1000 * cpu / (sent.size / MB)}
    for what, values in (("ack", acks), ("visible", probe.visible), ("lag", lags)):
        p50, p99, most = percentile(values, 50), percentile(values, 99), max(values)
        print(
            f"  {what:<8} p50 {1000 * p50:7.1f} ms   p99 {1000 * p99:7.1f} ms   max {1000 * most:7.1f} ms   n {len(values)}"
        )
        figures |= {f"{name}_{what}_p50_s": p50, f"{name}_{what}_p99_s": p99, f"{name}_{what}_max_s": most}
    return figures


def overload(rig: Rig, bodies: Bodies, seconds: float, offered: float) -> dict[str, float]:
    rate = offered * MB * len(bodies.sizes) / sum(bodies.sizes)
    with Watch(rig) as watch:
        sent = rig.send(int(rate * seconds), connections=MANY_CONNECTIONS, rate=rate, patient=False)
        taken = sent.size / MB / (max(due + took for due, took in sent.times) - sent.started)
        rig.settle()
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(sent.statuses.items()))
    print(
        f"{offered:.0f} MB/s offered for {seconds:.0f} s: {taken:.0f} MB/s taken ({answers}), memory {watch.most / MB:,.0f} MB"
    )
    if set(sent.statuses) - {204, 429}:
        raise RuntimeError(f"answers other than 204 and 429: {sent.statuses}")
    return {
        "overload_offered_mb_s": offered,
        "overload_taken_mb_s": taken,
        "overload_memory_mb": watch.most / MB,
        "overload_429": sent.statuses[429],
    }


async def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mb", type=int, default=2000, help="megabytes of JSON sent flat out")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each phase at a fixed rate")
    parser.add_argument("--phases", default=",".join(PHASES), help="those to run, with commas")
    options = parser.parse_args()
    phases = options.phases.split(",")
    if unknown := set(phases) - set(PHASES):
        parser.error(f"no phase {', '.join(sorted(unknown))}; there are {', '.join(PHASES)}")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="lurewire-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        bodies = make_bodies(folder / "bodies")
        rig = Rig(folder / "state", bodies)
        await rig.start()
        try:
            await asyncio.to_thread(rig.send, 64, connections=2)
            await asyncio.to_thread(rig.settle)
            if "flat" in phases:
                figures |= await asyncio.to_thread(flat, rig, bodies, folder, options.mb)
            if "sdk" in phases:
                figures |= await asyncio.to_thread(sdk, rig, bodies, options.mb)
            for phase in ("steady", "queries"):
                if phase in phases:
                    figures |= await asyncio.to_thread(steady, rig, bodies, options.seconds, phase)
            if "overload" in phases:
                offered = 2 * figures.get("flat_mb_s", AT_LEAST["flat_mb_s"])
                figures |= await asyncio.to_thread(overload, rig, bodies, options.seconds, offered)
        finally:
            await rig.stop()
    goal = {name: limit for name, limit in GOAL.items() if name in figures}
    return finish("ingest", figures, goal, {name: least for name, least in AT_LEAST.items() if name in figures})


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
