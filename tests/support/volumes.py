"""Builder of the claim of the volume that the steps of a run share."""

from __future__ import annotations

from typing import Any

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import VolumeClaimView
from tests.support.snapshots import EXECUTION, EXECUTION_UID, Json, wire


def a_claim(
    phase: str = "Pending", created: float = 0, *, storage_class: str | None = None, **meta: Any
) -> VolumeClaimView:
    """The claim of the run's volume; `meta` is further metadata."""
    name = names.volume_claim_name(EXECUTION, EXECUTION_UID)
    owner = {"kind": "WorkflowExecution", "name": EXECUTION, "uid": EXECUTION_UID, "controller": True}
    labels = {names.LABEL_EXECUTION: EXECUTION, names.LABEL_EXECUTION_UID: EXECUTION_UID}
    body: Json = {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": "uid-of-claim",
            "resourceVersion": "5",
            "creationTimestamp": wire(created),
            "labels": labels,
            "ownerReferences": [owner],
            **meta,
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class},
        "status": {"phase": phase},
    }
    return msgspec.convert(body, VolumeClaimView, strict=False)
