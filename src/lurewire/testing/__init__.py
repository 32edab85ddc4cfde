"""Tests of detections as files: rows in, rows or alerts out. They stand on the KQL room and its tools, without a server."""

from .cases import BadTest, Case, read_cases
from .junit import junit
from .running import Outcome, run_case

__all__ = ["BadTest", "Case", "Outcome", "junit", "read_cases", "run_case"]
