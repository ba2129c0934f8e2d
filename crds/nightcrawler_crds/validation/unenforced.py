"""What a workflow may say although nothing enforces it: taken, with a warning."""

from __future__ import annotations

from typing import Final

from nightcrawler_crds.v1alpha1 import WorkflowSpec

_NOBODY: Final = (
    "nothing enforces it, because this installation does not identify its callers (NIGHTCRAWLER_IDENTITY)"
)


def workflow_warnings(spec: WorkflowSpec) -> list[str]:
    """Sentences for the author of the workflow."""
    security = spec.config.security if spec.config else None
    if security is None:
        return []
    found = []
    if security.visibility not in (None, "Public"):
        found.append(
            f"config.security.visibility is {security.visibility}, and {_NOBODY}: everyone who can reach "
            "the REST API sees the workflow and its runs"
        )
    if security.permissions:
        found.append(
            f"config.security.permissions is set, and {_NOBODY}: everyone who can reach the REST "
            "API may execute, change and delete the workflow"
        )
    return found
