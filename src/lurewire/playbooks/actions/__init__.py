"""The action types, one file a family; a further type is a row there."""

from __future__ import annotations

from lurewire.playbooks.actions.connection import CONNECTION
from lurewire.playbooks.actions.control import CONTROL
from lurewire.playbooks.actions.data import DATA
from lurewire.playbooks.actions.delay import DELAY
from lurewire.playbooks.actions.function import FUNCTION
from lurewire.playbooks.actions.http import HTTP
from lurewire.playbooks.actions.table import TABLE
from lurewire.playbooks.actions.times import TIMES
from lurewire.playbooks.actions.variables import VARIABLES

ACTION_TYPES = {
    row.name.lower(): row
    for row in (*CONTROL, *DATA, *TABLE, *VARIABLES, *HTTP, *CONNECTION, *DELAY, *TIMES, *FUNCTION)
}
"""By name in lower case."""

REFUSED_TYPES = frozenset(
    {
        "apimanagement",
        "batch",
        "httpwebhook",
        "javascriptcode",
        "response",
        "sendtobatch",
        "workflow",
    }
)
"""What Azure has and Lurewire does not run; refused by name when a definition is put."""
