"""What hides the values of Secrets in the logs of a run whose workflow has `secureSecrets`."""

from __future__ import annotations

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
    """A mask, and when it was made."""

    mask: Mask
    at: float


class Masks:
    """Reads the Secrets that the steps of a run use; `enabled` where the installation grants that."""

    def __init__(self, store: Store, cluster: ClusterCache, *, enabled: bool) -> None:
        self._store = store
        self._cluster = cluster
        self._enabled = enabled
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def of(self, execution: ExecutionView) -> Mask:
        """What hides the values of the run's Secrets.

        Values that this replica has read before are hidden too, so that a changed one stays hidden for a
        while.

        Raises:
            Unavailable: They cannot be read; without them its logs must not be shown.
        """
        if not self._enabled:
            return NOTHING_HIDDEN
        uid = execution.metadata.uid
        known = self._known.get(uid)
        if known is not None and time.monotonic() < known.at + _KEPT_SECONDS:
            return known.mask
        try:
            mask = await self._read(execution)
        except (ApiError, ValidationError) as error:
            raise Unavailable(
                f"the log is withheld: the Secrets whose values are masked in it cannot be read: {error}"
            ) from error
        if known is not None:
            mask |= known.mask
        self._known[uid] = _Known(mask, time.monotonic())
        self._known.move_to_end(uid)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return mask

    async def _read(self, execution: ExecutionView) -> Mask:
        namespace = execution.metadata.namespace
        spec, profiles = await self._definition(execution)
        if not is_secure(spec):
            return NOTHING_HIDDEN
        values: list[bytes] = []
        for name, keys in used_secrets(spec, profiles, self._template(execution)).items():
            try:
                secret = await self._store.get(SECRETS, namespace, name, SecretView)
            except NotFound:
                continue  # nobody knows what it was
            values += values_of(secret.data, keys)
        return Mask(values)

    async def _definition(self, execution: ExecutionView) -> tuple[WorkflowSpec, Profiles]:
        """What the run uses; the workflow as it is if the run has not begun."""
        meta, name = execution.metadata, execution.status.revision
        if name is None:
            entry = await self._cluster.workflow(execution.spec.workflow_ref.name)
            return WorkflowSpec.model_validate(entry.view.spec, extra="ignore"), NO_PROFILES
        revision = await self._store.get(REVISIONS, meta.namespace, name, RevisionView)
        return WorkflowSpec.model_validate(revision.data, extra="ignore"), kept_profiles(revision.data)

    def _template(self, execution: ExecutionView) -> dict[str, Any] | None:
        place = execution.status.environment
        found = next((e for e in self._cluster.environments() if e.metadata.name == place), None)
        return found.spec.get("podTemplate") if found is not None else None
