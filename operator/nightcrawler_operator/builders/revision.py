"""ControllerRevisions: what a run uses of its workflow and profiles, named by the hash of that content."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.views import ProfileView, WorkflowView
from nightcrawler_crds.v1alpha1 import ComputeProfileSpec, WorkflowSpec
from nightcrawler_crds.validation import NO_PROFILES, Profiles, used_profiles
from nightcrawler_operator.snapshot import Revision

_RUN_RELEVANT: Final = (
    "steps",
    "order",
    "parameters",
    "options",
    "config",
    "environments",
    "environmentStrategy",
    "priority",
    "traceLevel",
)
"""The fields that a run depends on; a new description makes no new revision."""

_PROFILES: Final = "profiles"
"""The compute profiles by the names that the workflow uses; no field of a workflow is called so."""


def revision_of(workflow: WorkflowView, profiles: Collection[ProfileView] = ()) -> Revision:
    """The revision of a workflow as it and the profiles are now.

    Raises:
        ValueError: The spec cannot be read; pydantic's error says where.
    """
    spec = read(content(workflow.spec))
    used = used_profiles(spec, profiles)
    data = _data(workflow.spec, used)
    text = msgspec.json.encode(data, order="deterministic").decode()
    name = names.revision_name(workflow.metadata.name, workflow.metadata.uid, text)
    return Revision(name, spec, used, owner=workflow.metadata.uid)


def read(data: Mapping[str, Any]) -> WorkflowSpec:
    """A revision's content; fields of other versions of Nightcrawler are ignored.

    Raises:
        ValueError: It cannot be read.
    """
    return WorkflowSpec.model_validate(dict(data), extra="ignore")


def recorded(view: RevisionView) -> Revision:
    """A revision as it was written.

    Raises:
        ValueError: It cannot be read.
    """
    profiles = {
        name: ComputeProfileSpec.model_validate(profile, extra="ignore")
        for name, profile in view.data.get(_PROFILES, NO_PROFILES).items()
    }
    owners = (one.uid for one in view.metadata.owner_references if one.kind == names.WORKFLOWS.kind)
    return Revision(view.metadata.name, read(view.data), profiles, owner=next(owners, ""))


def content(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The run-relevant part of a workflow's spec, as written."""
    return {field: spec[field] for field in _RUN_RELEVANT if field in spec}


def manifest(workflow: WorkflowView, revision: Revision) -> dict[str, Any]:
    """The ControllerRevision, owned by its workflow."""
    meta = workflow.metadata
    return {
        "apiVersion": names.REVISIONS.api_version,
        "kind": names.REVISIONS.kind,
        "metadata": {
            "name": revision.name,
            "namespace": meta.namespace,
            "labels": {names.LABEL_WORKFLOW: meta.name},
            "ownerReferences": [owner(workflow)],
        },
        "revision": max(1, meta.generation),
        "data": _data(workflow.spec, revision.profiles),
    }


def _data(spec: Mapping[str, Any], profiles: Profiles) -> dict[str, Any]:
    data = content(spec)
    if profiles:
        data[_PROFILES] = {
            name: profile.model_dump(by_alias=True, exclude_unset=True, mode="json")
            for name, profile in profiles.items()
        }
    return data


def owner(workflow: WorkflowView, *, controller: bool = True) -> dict[str, Any]:
    """The ownerReference to a workflow; an object has one controller at the most."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.WORKFLOWS.kind,
        "name": workflow.metadata.name,
        "uid": workflow.metadata.uid,
        "controller": controller,
        "blockOwnerDeletion": False,
    }
