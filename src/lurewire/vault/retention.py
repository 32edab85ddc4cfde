"""What the properties of a vault say of soft delete: how long things are kept, and whether they may be purged before.

Source: https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.vault.errors import InvalidVault
from lurewire.vault.models import Recovery

if TYPE_CHECKING:
    from lurewire.core.limits import Limits

_DAYS, _PROTECTED, _SOFT = "softDeleteRetentionInDays", "enablePurgeProtection", "enableSoftDelete"


def recovery_of(properties: dict[str, Any]) -> Recovery:
    """What a stored vault does with what is deleted."""
    days = properties.get(_DAYS, Recovery.USUAL_DAYS)
    return Recovery(days, purgeable=properties.get(_PROTECTED) is not True)


def checked(wanted: dict[str, Any], existing: dict[str, Any] | None, limits: Limits) -> dict[str, Any]:
    """The properties of soft delete that a vault has after a PUT of `wanted`; raises `InvalidVault`.

    None of them can be taken back: soft delete is always on, protection stays on, and the days stay as they are.
    """
    if wanted.get(_SOFT) is False:
        raise InvalidVault(f'The property "{_SOFT}" cannot be set to false: soft delete is on in every vault.')
    protected = wanted.get(_PROTECTED)
    if protected is False:
        raise InvalidVault(
            f'The property "{_PROTECTED}" cannot be set to false. Enabling the purge protection for a vault is an '
            "irreversible action."
        )
    if protected is not None and protected is not True:
        raise InvalidVault(f"'properties.{_PROTECTED}' must be true, or not there.")
    kept = None if existing is None else recovery_of(existing)
    made: dict[str, Any] = {_SOFT: True, _DAYS: _days(wanted.get(_DAYS), kept, limits)}
    if protected or (kept is not None and not kept.purgeable):
        made[_PROTECTED] = True
    return made


def _days(wanted: object, kept: Recovery | None, limits: Limits) -> int:
    if wanted is None:
        return Recovery.USUAL_DAYS if kept is None else kept.days
    least, most = limits["vault.least_retention_days"], limits["vault.retention_days"]
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not least <= wanted <= most:
        raise InvalidVault(f"'properties.{_DAYS}' must be a number of days from {least} to {most}, not '{wanted}'.")
    if kept is not None and wanted != kept.days:
        raise InvalidVault(f'The property "{_DAYS}" has been set already and it can\'t be modified.')
    return wanted
