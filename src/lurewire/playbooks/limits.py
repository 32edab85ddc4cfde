"""The limits of a Consumption workflow.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-config
"""

from __future__ import annotations

from lurewire.core.limits import Limit

_SOURCE = "https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-config"

LIMITS: tuple[Limit, ...] = (
    Limit("playbooks.actions", 500, "actions a workflow", _SOURCE),
    Limit("playbooks.nesting", 8, "actions inside each other", _SOURCE),
    Limit("playbooks.name", 80, "characters of an action's or trigger's name", _SOURCE),
    Limit("playbooks.triggers", 10, "triggers a workflow", _SOURCE),
    Limit("playbooks.parameters", 50, "parameters a workflow", _SOURCE),
    Limit("playbooks.outputs", 10, "outputs a workflow", _SOURCE),
    Limit("playbooks.variables", 250, "variables a workflow", _SOURCE),
    Limit("playbooks.switch_cases", 25, "cases of a Switch", _SOURCE),
    Limit("playbooks.foreach_items", 100_000, "items of a For each", _SOURCE),
    Limit("playbooks.foreach_concurrency", 50, "iterations of a For each at once", _SOURCE),
    Limit("playbooks.until_iterations", 5_000, "iterations of an Until", _SOURCE),
    Limit("playbooks.trigger_concurrency", 100, "runs of a trigger at once, where it is limited", _SOURCE),
    Limit("playbooks.variable_items", 100_000, "items of an array variable", _SOURCE),
    Limit("playbooks.variable_characters", 104_857_600, "characters of a string variable", _SOURCE),
    Limit(
        "playbooks.request_bytes",
        4 * 1024 * 1024,
        "bytes of a request that starts or validates a workflow",
        "Lurewire: each run's trigger is in the list of runs; Azure takes 100 MB",
    ),
    Limit("playbooks.url", 16_384, "characters of a request's URL", _SOURCE),
    Limit("playbooks.retries", 90, "retries of a request", _SOURCE),
    Limit("playbooks.request_seconds", 120, "seconds of one outbound request", _SOURCE),
    Limit("playbooks.history_days", 90, "days that a run's history is kept", _SOURCE),
    Limit(
        "playbooks.runs_at_once", 200, "runs executed at once, over all workflows", "Lurewire: memory of one machine"
    ),
)
