"""What the ARM resources of a workspace and of its tables say beyond their schema: how long rows stay, and who sees them.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True)
class WorkspacePolicy:
    """Of a workspace: `days` is the retention of tables that have none of their own.

    With `resource_access` whoever may read a resource's logs may query them without a right to the workspace. `quota_gb` is
    the daily cap, None where there is none.
    """

    days: int = DEFAULT_DAYS
    resource_access: bool = True
    quota_gb: float | None = None

    @classmethod
    def of(cls, body: dict[str, Any]) -> WorkspacePolicy:
        """The policy of a stored resource; the oldest ones say nothing of a cap or of features."""
        properties = body["properties"]
        capping, features = (properties.get(name) or {} for name in ("workspaceCapping", "features"))
        quota = capping.get("dailyQuotaGb", -1)
        return cls(
            properties["retentionInDays"],
            features.get("enableLogAccessUsingOnlyResourcePermissions") is not False,
            None if quota <= 0 else float(quota),
        )


@dataclass(frozen=True, slots=True)
class TablePolicy:
    """Of a table, in days: its retention, and how long rows stay in all; None is the workspace's, and the retention."""

    days: int | None = None
    total_days: int | None = None

    @classmethod
    def of(cls, body: dict[str, Any]) -> TablePolicy:
        """The policy of a stored resource."""
        properties = body["properties"]
        return cls(
            None if properties["retentionInDaysAsDefault"] else properties["retentionInDays"],
            None if properties["totalRetentionInDaysAsDefault"] else properties["totalRetentionInDays"],
        )

    def kept_days(self, workspace: WorkspacePolicy) -> int:
        """How long a row stays. Azure moves it out of reach of queries after `days`; here it can be queried to the end."""
        days = self.days if self.days is not None else workspace.days
        return max(days, self.total_days or 0)
