"""The Secrets with the targets of messages, read only from when somebody wants any.

The installation's is a folder with a file for each key, as the kubelet mounts Secrets: it shows a changed
value within a minute. The namespaces' own are watched, by their name alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.noticeviews import SecretValues, SecretView
from nightcrawler_crds.kube.store import Store
from nightcrawler_operator.decisions.notifications.targets import Targets, targets_of, usable

_FRESH: Final = 1.0
_LOOK_EVERY: Final = 15.0
_MOST_BYTES: Final = 64 * 1024


class Folder:
    """The installation's Secret, as files; there may be none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._values: SecretValues | None = None
        self._read_at = float("-inf")

    def values(self) -> SecretValues | None:
        """Its values, at most a second old; None if there is no folder."""
        now = time.monotonic()
        if self._path is not None and now - self._read_at > _FRESH:
            self._values, self._read_at = _read(self._path), now
        return self._values


def _read(folder: Path) -> SecretValues | None:
    try:
        # Names with a dot in front are the kubelet's own.
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
        return SecretValues({file.name: _head(file) for file in files if file.is_file()})
    except OSError:
        return None


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_MOST_BYTES)


class TargetSecrets:
    """The targets of each namespace.

    `on_change` is called with a namespace whose targets may have changed, with an empty one for all of them.
    `namespaced`: whether namespaces may have targets of their own.
    """

    def __init__(
        self,
        store: Store,
        namespace: str,
        *,
        folder: Path | None,
        namespaced: bool,
        on_change: Callable[[str], None],
    ) -> None:
        self._wanted = asyncio.Event()
        self._folder = Folder(folder)
        self._on_change = on_change
        self.informer: Informer[SecretView] | None = None
        if namespaced:
            self.informer = Informer(
                store,
                names.SECRETS,
                SecretView,
                namespace=namespace,
                field_selector=f"metadata.name={names.NOTIFICATIONS_SECRET}",
                on_change=self._changed,
            )

    def want(self) -> None:
        """Somebody wants messages: the Secrets are read from now on."""
        self._wanted.set()

    async def run(self) -> None:
        """Follow the Secrets from when they are wanted, until cancelled."""
        await self._wanted.wait()
        if self.informer is None:
            await self._follow_folder()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.informer.run())
            tasks.create_task(self._report_synced(self.informer))
            tasks.create_task(self._follow_folder())

    def of(self, namespace: str) -> Targets | None:
        """The targets of a namespace's workflows; None while they are not known.

        From now on they are wanted.
        """
        self.want()
        own = None
        if self.informer is not None:
            if not self.informer.synced.is_set():
                return None
            found = self.informer.cache.get((namespace, names.NOTIFICATIONS_SECRET))
            own = found.values if found is not None else None
        return targets_of(own, self._folder.values())

    def channels(self, namespace: str) -> frozenset[str] | None:
        """The channels that have a target in a namespace; None while that is not known."""
        targets = self.of(namespace)
        return usable(targets) if targets is not None else None

    async def _report_synced(self, informer: Informer[SecretView]) -> None:
        await informer.synced.wait()
        self._on_change("")

    async def _follow_folder(self) -> None:
        known = self._folder.values()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if (now := self._folder.values()) != known:
                known = now
                self._on_change("")

    def _changed(self, old: SecretView | None, new: SecretView | None) -> None:
        some = new or old
        assert some is not None
        namespace, _ = some.metadata.key
        if self.informer is not None and self.informer.synced.is_set():
            self._on_change(namespace)
