"""What is wrong with who may do what. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_crds.validation.problems import Problem
from nightcrawler_crds.words.access import parse_access
from nightcrawler_crds.words.grammar import WordError


def permission_problems(spec: WorkflowSpec) -> Iterator[Problem]:
    """Permissions of words that there are not; they would grant nothing, and nobody would know."""
    security = spec.config.security if spec.config else None
    for index, permission in enumerate((security.permissions if security else None) or ()):
        try:
            parse_access(permission.access)
        except WordError as error:
            yield Problem(
                f"/config/security/permissions/{index}/access",
                conditions.INVALID_SPEC,
                f"the role {permission.role!r}: {error}",
            )
