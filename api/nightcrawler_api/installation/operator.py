"""What the Lease of the operator says of it; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from nightcrawler_api.installation.schemas import OperatorStatus
from nightcrawler_crds import clock
from nightcrawler_crds.kube.nativeviews import LeaseView

_DEFAULT_DURATION: Final = 15
_LOOK: Final = "and no run goes on until one does: look at the operator's Pods, and at their logs"


class _Holder(msgspec.Struct):
    """What is read of the annotation in which the leader describes itself."""

    version: str = ""


def operator_status(lease: LeaseView, now: datetime) -> OperatorStatus:
    """The operator by its Lease."""
    spec = lease.spec
    if not spec.holder_identity or not (seen := _time(spec.renew_time)):
        return {"working": False, "detail": f"no operator leads, {_LOOK}"}
    # Clocks of machines may differ: a time to come is no silence.
    silent = max((now - seen).total_seconds(), 0.0)
    working = silent <= (spec.lease_duration_seconds or _DEFAULT_DURATION)
    shown: OperatorStatus = {
        "working": working,
        "leader": spec.holder_identity,
        "lastSeen": clock.to_wire(seen),
        "silentSeconds": round(silent, 1),
        "detail": "it works" if working else f"the leader has been silent for {silent:.0f} seconds, {_LOOK}",
    }
    if version := _version(lease):
        shown["version"] = version
    return shown


def _time(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _version(lease: LeaseView) -> str:
    try:
        return msgspec.json.decode(lease.metadata.annotations.holder, type=_Holder).version
    except msgspec.DecodeError:
        return ""  # somebody else's annotation
