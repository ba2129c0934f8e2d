"""Whether the custom resources are there and may be read, and are those that this operator selects by."""

from __future__ import annotations

from typing import Final

from nightcrawler_crds import errors, names, phases
from nightcrawler_crds.kube.store import Store

_FIELDS: Final = {".status.phase": phases.LIVE_SELECTOR, ".status.settled": phases.OWING_SELECTOR}
"""The selectable fields of executions, each with a selector that needs it."""
_WHAT_TO_DO: Final = (
    "install those of this version: `kubectl apply -f crds/`, or upgrade the chart with crds.install true. "
    "Nothing is run until then"
)
_RIGHTS: Final = (
    "give this service account the rights of hack/rbac.yaml, or upgrade the chart with rbac.create true. "
    "Nothing is run until then"
)


async def missing(store: Store, namespace: str) -> str:
    """A sentence about what is missing, rights included, and what to do; empty if all is there.

    It asks for a list by each field, for which no further rights are needed.

    Raises:
        ApiError: The API server cannot say.
    """
    for field, selector in _FIELDS.items():
        try:
            await store.list_page(names.EXECUTIONS, namespace, field_selector=selector, limit=1)
        except errors.Forbidden as refusal:
            return f"{refusal.message}: {_RIGHTS}"
        except errors.NotFound:
            return f"the custom resources of {names.GROUP} are not installed: {_WHAT_TO_DO}"
        except errors.Invalid:
            return (
                f"the installed custom resource {names.EXECUTIONS.plural}.{names.GROUP} is of another "
                f"version: it has no selectable field {field}; {_WHAT_TO_DO}"
            )
    return ""
