"""The test bench: for who writes a client and wants to see it meet faults. Off unless a setting switches it on."""

from lurewire.testbench.errors import TableNotFound
from lurewire.testbench.limits import LIMITS
from lurewire.testbench.middleware import Middleware
from lurewire.testbench.routes import testbench_routes
from lurewire.testbench.service import Bench, Fault
from lurewire.testbench.transport import CuttableProtocol

__all__ = ["LIMITS", "Bench", "CuttableProtocol", "Fault", "Middleware", "TableNotFound", "testbench_routes"]
