"""Versions of workflows, by which a change is made only to what its sender has seen; pure.

A version stands for a spec: status, which changes all the time, has no part in it.
"""

from __future__ import annotations

from nightcrawler_api.errors import Outdated
from nightcrawler_api.http.conditions import IfMatch
from nightcrawler_crds.kube.views import WorkflowView


def version_of(view: WorkflowView) -> str:
    """The version: the UID and the generation."""
    return f"{view.metadata.uid}.{view.metadata.generation}"


def allowed(view: WorkflowView, condition: IfMatch | None) -> bool:
    """Whether a condition, if there is one, allows a change to this version."""
    return condition is None or condition.allows(version_of(view))


def outdated(view: WorkflowView, id_: str) -> Outdated:
    """The refusal of a change to another version of the workflow with this id."""
    return Outdated(
        f"the workflow {id_!r} has changed since you read it: its version is {version_of(view)}, which "
        f"If-Match does not name; GET /api/workflows/{id_}, and decide again"
    )
