"""Why the Pod of an attempt has not started, where that is for the volume that the steps of its run share."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.building.volume import NO_PROVISIONER
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Waits
from nightcrawler_operator.decisions.pending import Pending, newest
from nightcrawler_operator.plan import LookForVolumeClaim, Lookup

_NO_VOLUME: Final = "FailedBinding"
_CLAIM_WAITS: Final = frozenset(
    {_NO_VOLUME, "ExternalProvisioning", "Provisioning", "ProvisioningFailed", "VolumeMismatch"}
)
"""Events of the volume controller and of provisioners about a claim that waits for them.

`WaitForFirstConsumer` and `WaitForPodScheduled` are not among them: then the claim waits for a node.
"""


def volume_lost(p: Pending) -> Waits | Failed | None:
    """Without its volume, its Pod could never be scheduled."""
    if p.volume is None or _is_placed(p):
        return None
    going = p.claim is not None and p.claim.metadata.deletion_timestamp is not None
    if not going and not (p.claim is None and p.claim_absent):
        return None
    message = (
        f"cannot start: the volume of its run is lost, for its claim {p.volume.claim} was deleted, and with "
        "it what earlier steps wrote there; run the workflow again"
    )
    return Failed(Blame.DEFINITION, conditions.STEP_VOLUME_LOST, message, p.now)


def volume_missing(p: Pending) -> Waits | Failed | None:
    """The volume is not there yet, and that is not for want of a node."""
    if p.volume is None or p.claim is None or p.claim.bound or _is_placed(p):
        return None
    why = newest(p, p.claim.metadata.uid)
    if why is None or why.reason not in _CLAIM_WAITS:
        return None
    if why.reason == _NO_VOLUME and p.claim.spec.storage_class_name is None:
        message = f"waits for the volume of its run, for which {NO_PROVISIONER}"
    else:
        message = f"waits for the volume of its run: {one_line(why.message)}"
    return p.wait(conditions.STEP_VOLUME, message)


def with_volume(p: Pending, result: Waits | Failed) -> Waits | Failed:
    """With the look-ups of why the volume is not there, as long as its Pod has no node."""
    if not isinstance(result, Waits) or p.volume is None or p.pod is None or _is_placed(p):
        return result
    if p.claim is None:
        # It is cached a moment after its creation; only a look-up shows that it is gone.
        lookups: tuple[Lookup, ...] = (LookForVolumeClaim(p.volume.claim),) if p.now >= p.show_at else ()
        ask_at = max(p.show_at, p.now)
    elif p.claim.bound:
        return result
    else:
        ask_at = p.ask_at(p.claim.metadata.uid, p.show_at)
        lookups = p.ask(p.claim.metadata.uid, names.VOLUME_CLAIMS.kind, ask_at)
    look_at = min(result.look_at or ask_at, ask_at)
    return replace(result, look_at=look_at, lookups=(*result.lookups, *lookups))


def _is_placed(p: Pending) -> bool:
    return p.pod is None or bool(p.pod.spec.node_name)
