"""What decides who may do what with a workflow and its runs, as the objects have it; pure.

Nothing here is decided: that takes a caller (`auth.decisions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args
from weakref import WeakValueDictionary

from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.words.access import Access, parse_access
from nightcrawler_crds.words.grammar import WordError

Visibility = Literal["Private", "Team", "Public"]
DEFAULT_VISIBILITY: Final[Visibility] = "Team"

Permission = tuple[str, frozenset[Access]]
"""A role, case-folded, and what it may do."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Protection:
    """Who may do what with a workflow. There is one of each kind (`Protections`), so that they hash quickly.

    Attributes:
        namespace: The namespace, whose people are the team.
        creator: The id of the caller who created it; empty if nobody is known to have.
        visibility: Who sees it.
        permissions: What roles may do; those of words that there are not grant nothing.
    """

    namespace: str
    creator: str
    visibility: Visibility
    permissions: tuple[Permission, ...]


class Protections:
    """The protections of all objects that are there, each kind once."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Any, Protection] = WeakValueDictionary()
        self.version = 0
        """Grows with every new kind."""

    def __iter__(self) -> Iterator[Protection]:
        return iter(list(self._known.values()))

    def of(self, workflow: WorkflowView) -> Protection:
        """That of a workflow."""
        meta = workflow.metadata
        security = _mapping((_mapping(workflow.spec.get("config"))).get("security"))
        visibility = security.get("visibility")
        return self._one(
            meta.namespace,
            meta.annotations.creator_id,
            # What is not a word is nobody's wish to show it to more people.
            DEFAULT_VISIBILITY if visibility is None else _visibility(visibility),
            _permissions(security.get("permissions")),
        )

    def of_orphans(self, namespace: str) -> Protection:
        """That of runs whose workflow is not known: administrators alone see them."""
        return self._one(namespace, "", "Private", ())

    def _one(
        self, namespace: str, creator: str, visibility: Visibility, permissions: tuple[Permission, ...]
    ) -> Protection:
        key = (namespace, creator, visibility, permissions)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Protection(*key)
            self.version += 1
        return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _visibility(word: Any) -> Visibility:
    return cast("Visibility", word) if word in get_args(Visibility) else "Private"


def _permissions(written: Any) -> tuple[Permission, ...]:
    """What a spec grants to roles, which anyone with kubectl may have written."""
    found: list[Permission] = []
    for permission in written if isinstance(written, Sequence) and not isinstance(written, str) else ():
        role, access = _mapping(permission).get("role"), _mapping(permission).get("access")
        if not isinstance(role, str) or not isinstance(access, str):
            continue
        try:
            found.append((role.casefold(), parse_access(access)))
        except WordError:
            found.append((role.casefold(), frozenset()))
    return tuple(found)
