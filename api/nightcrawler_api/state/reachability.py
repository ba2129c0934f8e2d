"""Whether the API server responds, how quickly, and whether the served namespace exists.

It is probed every few seconds in the background, so that the facade's own probes respond at once: one
that waited for a slow API server would count as a failure of the facade.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import msgspec

from nightcrawler_crds.errors import ApiError, Forbidden, NotFound
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import NAMESPACES
from nightcrawler_crds.variables import variable

log = logging.getLogger(__name__)

_PROBE_SECONDS: Final = 5.0
_PROBE_TIMEOUT: Final = 2.0
_OR_ANOTHER: Final = f", or name another one by {variable('namespace')}"


class _Nothing(msgspec.Struct):
    """A Namespace without its fields: all that is asked is whether it exists."""


class Reachability:
    """The result of the last probe of the API server.

    Attributes:
        reachable: Whether it responded within two seconds.
        seconds: Duration of the probe.
        namespace_is_missing: Whether the namespace does not exist; False while unknown.
        namespace_is_hidden: Whether the facade has no right to get the namespace.
    """

    def __init__(self, store: Store, namespace: str) -> None:
        self.reachable = False
        self.seconds = 0.0
        self.namespace_is_missing = False
        self.namespace_is_hidden = False
        self._store = store
        self._namespace = namespace

    async def run(self) -> None:
        """Probe periodically until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(_PROBE_SECONDS)

    async def probe(self) -> None:
        """Probe once."""
        was_missing, began = self.namespace_is_missing, time.monotonic()
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await self._store.get(NAMESPACES, "", self._namespace, _Nothing)
            self.reachable, self.namespace_is_missing, self.namespace_is_hidden = True, False, False
        except NotFound:
            self.reachable, self.namespace_is_missing, self.namespace_is_hidden = True, True, False
        except Forbidden:
            self.reachable, self.namespace_is_missing, self.namespace_is_hidden = True, False, True
        except (ApiError, TimeoutError):
            self.reachable = False
        self.seconds = time.monotonic() - began
        if self.namespace_is_missing and not was_missing:
            log.error("%s", self.missing_sentence)

    @property
    def missing_sentence(self) -> str:
        """What to do if the namespace does not exist."""
        return (
            f"the namespace {self._namespace!r} does not exist; the administrator "
            f"can create it (kubectl create namespace {self._namespace}){_OR_ANOTHER}"
        )

    @property
    def hidden_sentence(self) -> str:
        """What to do if nothing in the namespace may be read."""
        return (
            f"either the namespace {self._namespace!r} does not exist, or the facade has no rights in it; "
            f"the administrator can create both (hack/rbac.yaml){_OR_ANOTHER}"
        )
