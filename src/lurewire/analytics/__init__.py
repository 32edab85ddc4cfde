"""Analytics: rules that look for threats in the workspace's tables and raise alerts."""

from lurewire.analytics.alerts import ALERT_TABLE
from lurewire.analytics.limits import LIMITS
from lurewire.analytics.service import Analytics

__all__ = ["ALERT_TABLE", "LIMITS", "Analytics"]
