"""Whether the API server answers, how quickly, and whether it has the namespace that is served.

It is asked every few seconds, in the background, so that probes can be answered at once: one that
waited for a slow API server would be taken for a sign that the facade is unwell.
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
from nightcrawler_crds.settings import variable

log = logging.getLogger(__name__)

_ASK_EVERY: Final = 5.0
_PATIENCE: Final = 2.0
_OR_ANOTHER: Final = f", or name another one by {variable('namespace')}"


class _Nothing(msgspec.Struct):
    """All that is read of a namespace: that it is there."""


class Contact:
    """What the last question to the API server came to.

    Attributes:
        reachable: Whether it was answered, within two seconds.
        seconds: How long the answer took, or was waited for.
        namespace_is_missing: Whether the namespace is not there; False while that is not known.
        namespace_is_hidden: Whether the facade may not ask for the namespace.
    """

    def __init__(self, store: Store, namespace: str) -> None:
        self.reachable = False
        self.seconds = 0.0
        self.namespace_is_missing = False
        self.namespace_is_hidden = False
        self._store = store
        self._namespace = namespace

    async def keep(self) -> None:
        """Ask again and again until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(_ASK_EVERY)

    async def ask(self) -> None:
        """Ask once."""
        was_missing, began = self.namespace_is_missing, time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
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
        """What to do where the namespace is not there."""
        return (
            f"the namespace {self._namespace!r} that is served is not there; whoever installed this "
            f"can create it (kubectl create namespace {self._namespace}){_OR_ANOTHER}"
        )

    @property
    def hidden_sentence(self) -> str:
        """What to do where nothing in the namespace may be read."""
        return (
            f"either the namespace {self._namespace!r} is not there, or the facade has no rights in it; "
            f"whoever installed this can create both (hack/rbac.yaml){_OR_ANOTHER}"
        )
