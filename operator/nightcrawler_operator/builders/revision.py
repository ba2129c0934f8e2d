"""ControllerRevisions: what a run uses of its workflow and profiles, named by the hash of that content."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nightcrawler_crds import names
from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_crds.kube.views import ProfileView, WorkflowView
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.revisions import content, data_of, kept_profiles, name_of
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import used_profiles


def revision_of(workflow: WorkflowView, profiles: Collection[ProfileView] = ()) -> Revision:
    """The revision of a workflow as it and the profiles are now.

    Raises:
        ValueError: The spec cannot be read; pydantic's error says where.
    """
    spec = read(content(workflow.spec))
    used = used_profiles(spec, profiles)
    name = name_of(workflow.metadata.name, workflow.metadata.uid, data_of(workflow.spec, used))
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
    profiles = kept_profiles(view.data)
    owners = (one.uid for one in view.metadata.owner_references if one.kind == names.WORKFLOWS.kind)
    return Revision(view.metadata.name, read(view.data), profiles, owner=next(owners, ""))


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
        "data": data_of(workflow.spec, revision.profiles),
    }


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
