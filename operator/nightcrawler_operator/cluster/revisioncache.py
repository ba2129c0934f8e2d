"""Parsed revisions of workflows, so that no reconcile parses or reads one twice."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from nightcrawler_crds.kube.cache import Key
from nightcrawler_crds.planning.revision import Revision

_KEPT: Final = 2_000


class RevisionCache:
    """Recorded revisions by namespace and name; live ones by the workflow's UID and generation."""

    def __init__(self) -> None:
        self._recorded: OrderedDict[Key, Revision] = OrderedDict()
        self._live: OrderedDict[tuple[str, int], Revision] = OrderedDict()

    def recorded(self, key: Key) -> Revision | None:
        """A revision that is recorded in the cluster, if it is cached."""
        return self._recorded.get(key)

    def cache_recorded(self, namespace: str, revision: Revision) -> None:
        """Cache a recorded revision; the least recently cached are dropped."""
        key = (namespace, revision.name)
        self._recorded[key] = revision
        self._recorded.move_to_end(key)
        if len(self._recorded) > _KEPT:
            self._recorded.popitem(last=False)

    def deleted(self, key: Key) -> None:
        """A recorded revision was deleted as unneeded."""
        self._recorded.pop(key, None)

    def forget_recorded(self) -> None:
        """Have the recorded ones read again."""
        self._recorded.clear()

    def live(self, key: tuple[str, int]) -> Revision | None:
        """What was parsed from a workflow, by its UID and generation."""
        return self._live.get(key)

    def cache_live(self, key: tuple[str, int], revision: Revision) -> None:
        """Cache what was parsed from a workflow, by its UID and generation."""
        self._live[key] = revision
        if len(self._live) > _KEPT:
            self._live.popitem(last=False)

    def forget_live(self) -> None:
        """Have workflows parsed again: the profiles that they name have changed."""
        self._live.clear()
