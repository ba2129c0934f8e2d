"""Filter words of a query as the objects have them; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.validation import find_environment, is_called

SCHEDULED: Final = "System"
"""The executor that is shown of scheduled runs."""


def environment_names(word: str | None, environments: Collection[EnvironmentView]) -> frozenset[str] | None:
    """All names of the environment that a word names; objects have the one by which it was asked for."""
    if word is None:
        return None
    found = find_environment(word, environments)
    if found is None or not is_called(found, word):  # the default one may accept any name
        return frozenset((word,))
    aliases = found.spec.get("aliases") or ()
    return frozenset((word, found.metadata.name, *aliases))


def creators(word: str | None, default_user: str) -> frozenset[str] | None:
    """The annotations that name a creator; without one, the default user is shown."""
    if word is None:
        return None
    return frozenset((word, "")) if word == default_user else frozenset((word,))


def shown_executor(word: str | None, default_user: str) -> str:
    """How the executor in a spec is shown."""
    return SCHEDULED if word == names.SCHEDULE_EXECUTOR else word or default_user


def executors(word: str | None, default_user: str) -> frozenset[str | None] | None:
    """The executors in specs that are shown as this one."""
    if word is None:
        return None
    if word == SCHEDULED:
        return frozenset((word, names.SCHEDULE_EXECUTOR))
    return frozenset((word, None)) if word == default_user else frozenset((word,))
