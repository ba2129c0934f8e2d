"""Who owns a Job or a Pod.

The UID of an owner decides, within the owner's namespace. Labels only select: a copied or restored object has
them, too, and anybody who may edit an object can remove them.
"""

from __future__ import annotations

from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.nativeviews import JobView, PodView

_SUFFIX: Final = len("-x7k2p")
"""The length of the suffix that the Job controller adds to a Job's name for its Pod."""


def is_owned_by(meta: Meta, uid: str) -> bool:
    """Whether an object has this owner."""
    return any(owner.uid == uid for owner in meta.owner_references)


def workflow_of(meta: Meta) -> str:
    """The UID of the Workflow that owns an execution; empty if none does."""
    ours = f"{names.GROUP}/"
    return next(
        (
            o.uid
            for o in meta.owner_references
            if o.kind == names.WORKFLOWS.kind and o.api_version.startswith(ours)
        ),
        "",
    )


def owner_name(meta: Meta, uid: str) -> str:
    """The name of an object's owner with this UID; empty if it has none."""
    return next((owner.name for owner in meta.owner_references if owner.uid == uid), "")


def is_pod_of(pod: PodView, job: JobView | None, job_name: str) -> bool:
    """Whether a Pod belongs to the Job of this name. If the Job is gone, so is its UID, and names decide.

    An orphaned Pod has no owner, but still the name that it was created with.
    """
    if job is not None:
        return is_owned_by(pod.metadata, job.metadata.uid)
    owners = pod.metadata.owner_references
    if any(owner.controller for owner in owners):
        return any(owner.kind == "Job" and owner.name == job_name for owner in owners)
    name = pod.metadata.name
    return name == job_name or (len(name) == len(job_name) + _SUFFIX and name.startswith(f"{job_name}-"))
