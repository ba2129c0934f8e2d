"""What hides the values of Secrets in the logs of a run whose workflow has `secureSecrets`."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds.errors import ApiError, NotFound, Unavailable
from nightcrawler_crds.kube.nativeviews import RevisionView, SecretView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.masking import NOTHING_HIDDEN, Mask, used_secrets, values_of
from nightcrawler_crds.names import REVISIONS, SECRETS
from nightcrawler_crds.revisions import kept_profiles
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import NO_PROFILES, Profiles, is_secure

_KEPT_SECONDS: Final = 60.0
_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class _Known:
    """A mask, and until when it is not made again."""

    mask: Mask
    until: float


class Masks:
    """Reads the Secrets that the steps of a run use; `enabled` where the installation grants that.

    Runs of the same revision in the same Environment use the same Secrets, and share a mask.
    """

    def __init__(self, store: Store, cluster: ClusterCache, *, enabled: bool) -> None:
        self._store = store
        self._cluster = cluster
        self._enabled = enabled
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()

    async def of(self, execution: ExecutionView) -> Mask:
        """What hides the values of the run's Secrets.

        Values that this replica has read before are hidden too, so that a changed one stays hidden for a
        while.

        Raises:
            Unavailable: They cannot be read; without them its logs must not be shown.
        """
        if not self._enabled:
            return NOTHING_HIDDEN
        key = _key(execution)
        known = self._known.get(key)
        if known is not None and time.monotonic() < known.until:
            return known.mask
        try:
            mask = await self._read(execution)
        except (ApiError, ValidationError) as error:
            raise Unavailable(
                f"the log is withheld: the Secrets whose values are masked in it cannot be read: {error}"
            ) from error
        # A revision never changes: one that hides nothing is asked for once.
        final = mask is None and execution.status.revision is not None
        made = mask or NOTHING_HIDDEN
        if known is not None:
            made |= known.mask
        self._known[key] = _Known(made, math.inf if final else time.monotonic() + _KEPT_SECONDS)
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return made

    async def _read(self, execution: ExecutionView) -> Mask | None:
        """What hides the values as they are now; None if the workflow does not ask for that."""
        namespace = execution.metadata.namespace
        spec, profiles = await self._definition(execution)
        if not is_secure(spec):
            return None
        values: list[bytes] = []
        for name, keys in used_secrets(spec, profiles, self._template(execution)).items():
            try:
                secret = await self._store.get(SECRETS, namespace, name, SecretView)
            except NotFound:
                continue  # its former values are not known
            values += values_of(secret.data, keys)
        return Mask(values)

    async def _definition(self, execution: ExecutionView) -> tuple[WorkflowSpec, Profiles]:
        """What the run uses; the workflow as it is if the run has not begun."""
        meta, name = execution.metadata, execution.status.revision
        if name is None:
            entry = await self._cluster.workflow(meta.namespace, execution.spec.workflow_ref.name)
            if entry is None:
                raise NotFound(f"the workflow of the execution {meta.name!r} is gone")
            return WorkflowSpec.model_validate(entry.view.spec, extra="ignore"), NO_PROFILES
        revision = await self._store.get(REVISIONS, meta.namespace, name, RevisionView)
        return WorkflowSpec.model_validate(revision.data, extra="ignore"), kept_profiles(revision.data)

    def _template(self, execution: ExecutionView) -> dict[str, Any] | None:
        place = execution.status.environment
        found = next((e for e in self._cluster.environments() if e.metadata.name == place), None)
        return found.spec.get("podTemplate") if found is not None else None


def _key(execution: ExecutionView) -> tuple[str, ...]:
    """What the Secrets follow from: the revision and the Environment, once they are recorded."""
    meta, status = execution.metadata, execution.status
    if status.revision is None:
        return (meta.namespace, meta.uid)
    return (meta.namespace, status.revision, status.environment or "")
