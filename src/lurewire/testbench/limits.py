"""Bounds of the test bench; they are our own."""

from __future__ import annotations

from lurewire.core.limits import Limit

_OWN = "Lurewire's own"

LIMITS: tuple[Limit, ...] = (
    Limit("testbench.faults", 100, "faults in force at a time", _OWN),
    Limit("testbench.log_requests", 1_000, "requests that the log keeps, the newest ones", _OWN),
    Limit("testbench.log_body_bytes", 65_536, "bytes of a body that the log keeps, unpacked", _OWN),
    Limit("testbench.delay_seconds", 600, "seconds that a fault can hold an answer back", _OWN),
    Limit("testbench.request_bytes", 65_536, "bytes of a request to the bench itself", _OWN),
)
