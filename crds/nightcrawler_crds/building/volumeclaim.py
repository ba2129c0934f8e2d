"""The claim of the volume that the steps of a run share."""

from __future__ import annotations

from typing import Any

from nightcrawler_crds import names
from nightcrawler_crds.building.run import Run
from nightcrawler_crds.building.volume import Volume


def volume_claim(run: Run, volume: Volume) -> dict[str, Any]:
    """The manifest of the claim; the run owns it unless it is to be kept."""
    metadata: dict[str, Any] = {
        "name": volume.claim,
        "namespace": run.namespace,
        "labels": {
            names.LABEL_WORKFLOW: run.workflow,
            names.LABEL_EXECUTION: run.execution,
            names.LABEL_EXECUTION_UID: run.execution_uid,
        },
    }
    if not volume.retain:
        owner = {
            "apiVersion": names.API_VERSION,
            "kind": names.EXECUTIONS.kind,
            "name": run.execution,
            "uid": run.execution_uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
        metadata["ownerReferences"] = [owner]
    spec: dict[str, Any] = {
        "accessModes": [volume.access_mode],
        "resources": {"requests": {"storage": volume.size.quantity}},
    }
    if volume.storage_class is not None:
        spec["storageClassName"] = volume.storage_class
    return {
        "apiVersion": names.VOLUME_CLAIMS.api_version,
        "kind": names.VOLUME_CLAIMS.kind,
        "metadata": metadata,
        "spec": spec,
    }
