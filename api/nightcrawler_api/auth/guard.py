"""What stands between callers and the cached state: services get from here what the caller may see or do.

Without identity it passes everything on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from nightcrawler_api.audit import trail
from nightcrawler_api.audit.contract import Within
from nightcrawler_api.auth import decisions
from nightcrawler_api.auth.operations import Operation, Verb
from nightcrawler_api.auth.reviews import Reviews
from nightcrawler_api.auth.teamsfile import Teams
from nightcrawler_api.caller import Caller, Membership
from nightcrawler_api.errors import IdentityUnavailable, Invalid, NotAllowed
from nightcrawler_api.ids import Ids
from nightcrawler_api.refusals import at
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.protection import Protection
from nightcrawler_crds.errors import NotFound, Unreadable
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.words.access import Access

Seen = frozenset[Protection] | None
"""The protections of what a caller sees; None: everything."""

_MOST_KEPT: Final = 500
_WORDS: Final[dict[Verb, Access]] = {
    "execute": Access.EXECUTE,
    "cancel": Access.EXECUTE,
    "update": Access.EDIT,
    "delete": Access.DELETE,
}
_VERBS: Final[dict[Access, Verb]] = {
    Access.VIEW: "get",
    Access.EXECUTE: "execute",
    Access.EDIT: "update",
    Access.DELETE: "delete",
    Access.FULL: "update",
}
_EVERY_VERB: Final = "*"
_ALL_NAMESPACES: Final = ""


class Guard:
    """Lets callers see and do what they may. `reviews`: by Kubernetes' rights, narrowed by visibility."""

    def __init__(self, cluster: ClusterCache, teams: Teams, reviews: Reviews | None = None) -> None:
        self.ids = Ids(cluster.namespace)
        self._cluster = cluster
        self._teams = teams
        self._reviews = reviews
        self._seen: dict[tuple[Caller, frozenset[str]], tuple[int, frozenset[Protection]]] = {}

    # --- one workflow -------------------------------------------------------------------------------

    async def workflow(self, id_: str, caller: Caller, operation: Operation) -> WorkflowEntry:
        """A workflow by its id, for an operation.

        Raises:
            NotFound: There is none that the caller sees.
            NotAllowed: The caller sees it, and may not do that.
            IdentityUnavailable: That cannot be found out now.
        """
        try:
            entry = await self._cluster.workflow(*self.ids.key(id_))
        except Unreadable:
            if self._passes(caller):
                raise
            entry = None  # who may see it cannot be read either
        if entry is None:
            raise _no_workflow(id_)
        await self.check(entry, caller, frozenset((operation.access,)), operation.verb)
        return entry

    async def execution(
        self, workflow: str, id_: str, caller: Caller, operation: Operation
    ) -> tuple[WorkflowEntry, ExecutionView]:
        """A workflow and one of its executions, by their ids; raises as `workflow` does."""
        entry = await self.workflow(workflow, caller, operation)
        namespace, name = self.ids.key(id_)
        execution = None
        if namespace == entry.view.metadata.namespace:
            execution = await self._cluster.execution(entry, name)
        if execution is None:
            raise NotFound(f"the workflow {workflow!r} has no execution {id_!r}")
        return entry, execution

    async def check(
        self, entry: WorkflowEntry, caller: Caller, access: Collection[Access], verb: Verb | None = None
    ) -> None:
        """Refuse what a caller may not do with a workflow; raises as `workflow` does."""
        if self._passes(caller):
            return
        id_ = self.ids.of(*entry.view.metadata.key)
        has = await self.granted(caller, entry.protection)
        if Access.VIEW not in has:
            trail.hidden(trail.of_workflow(entry.view))
            raise _no_workflow(id_)
        if missing := sorted(set(access) - has):
            raise NotAllowed(
                f"you see the workflow {id_!r}, and this takes the permission {missing[0]}, which you do not "
                "have; its creator and administrators can give it to one of your roles"
            )
        verbs: set[Verb] = {verb} if verb else {_VERBS[one] for one in access}
        for one in sorted(verbs):
            await self._reviewed(caller, one, entry.protection.namespace)

    async def may(self, caller: Caller, protection: Protection, operation: Operation) -> bool:
        """Whether a caller may do something with what has this protection."""
        if self._passes(caller):
            return True
        has = await self.granted(caller, protection)
        return operation.access in has and (
            self._reviews is None or await self._reviews.allows(caller, operation.verb, protection.namespace)
        )

    async def still(self, entry: WorkflowEntry, caller: Caller, operation: Operation) -> bool:
        """Whether a caller may go on with what goes on for long; if the workflow is gone, by what it was."""
        now = self._cluster.index.workflow(entry.view.metadata.key) or entry
        try:
            return await self.may(caller, now.protection, operation)
        except IdentityUnavailable:
            return False

    async def granted(self, caller: Caller, protection: Protection) -> decisions.Words:
        """What a caller may do with what has this protection, before Kubernetes is asked for each verb."""
        caller = self._teams.placed(caller)
        if self._reviews is not None:
            placed = await self._placed_by_kubernetes(caller, protection.namespace)
            if placed is None:
                return frozenset()
            caller = placed
        return decisions.granted(caller, protection)

    # --- many ---------------------------------------------------------------------------------------

    async def seen(self, caller: Caller, operation: Operation) -> Seen:
        """The protections of what a caller sees now."""
        if self._passes(caller):
            return None
        caller = self._teams.placed(caller)
        known = self._cluster.index.protections
        namespaces: frozenset[str] = frozenset()
        if self._reviews is not None:
            verb: Verb = "watch" if operation.verb == "watch" else "list"
            namespaces = await self._allowing(self._reviews, caller, verb)
            administered = await self._allowing(self._reviews, caller, _EVERY_VERB)
            own = {Membership(one, admin=one in administered) for one in namespaces}
            caller = replace(caller, memberships=caller.memberships | own)
        key = (caller, namespaces)
        found = self._seen.get(key)
        if found is None or found[0] != known.version:
            seen = frozenset(
                one
                for one in known
                if (self._reviews is None or one.namespace in namespaces) and decisions.sees(caller, one)
            )
            if len(self._seen) >= _MOST_KEPT:
                self._seen.clear()
            found = self._seen[key] = (known.version, seen)
        return found[1]

    async def readable(self, caller: Caller, operation: Operation) -> Within | None:
        """Of what a caller may see the records: of what they administer, or may edit; None: of everything."""
        if self._passes(caller):
            return None
        caller = self._teams.placed(caller)
        if self._reviews is not None and await self._reviews.allows(caller, _EVERY_VERB, _ALL_NAMESPACES):
            return None
        known = self._cluster.index.protections
        served = {self._cluster.namespace, *(self._cluster.others or ()), *(one.namespace for one in known)}
        own = {namespace for namespace in sorted(served) if await self._administers(caller, namespace)}
        others = [one for one in known if one.namespace not in own]
        single = {one for one in others if await self.may(caller, one, operation)}
        workflows: dict[str, set[str]] = {}
        for entry in self._cluster.index.workflows():
            if entry.protection in single:
                namespace, name = entry.view.metadata.key
                workflows.setdefault(namespace, set()).add(name)
        return Within(frozenset(own), {place: frozenset(some) for place, some in workflows.items()})

    async def _administers(self, caller: Caller, namespace: str) -> bool:
        if self._reviews is not None:
            return await self._reviews.allows(caller, _EVERY_VERB, namespace)
        place = decisions.place_of(caller, namespace)
        return place is not None and place.admin

    async def _allowing(self, reviews: Reviews, caller: Caller, verb: str) -> frozenset[str]:
        """The namespaces in which Kubernetes allows a caller something, of those that have anything."""
        there = sorted({one.namespace for one in self._cluster.index.protections})
        if await reviews.allows(caller, verb, _ALL_NAMESPACES):
            return frozenset(there)
        allowed = await asyncio.gather(*(reviews.allows(caller, verb, namespace) for namespace in there))
        return frozenset(namespace for namespace, yes in zip(there, allowed, strict=True) if yes)

    # --- a namespace --------------------------------------------------------------------------------

    async def creates_in(self, asked: str | None, caller: Caller) -> str:
        """The namespace in which a caller creates a workflow: the one that they ask for, else their own.

        Raises:
            NotAllowed: They may not create any there, or anywhere.
            Invalid: They may in several, and have to say in which.
            IdentityUnavailable: That cannot be found out now.
        """
        if asked is not None:
            if not self._cluster.serves(asked) and self._passes(caller):
                raise Invalid([at("/namespace", f"the facade does not serve {asked!r}; leave it out")])
            if not self._cluster.serves(asked) or not await self._creates(asked, caller):
                raise NotAllowed(
                    f"you may not create workflows in the namespace {asked!r}: that takes the permission "
                    f"{Access.EDIT} there, which an administrator can give you"
                )
            return asked
        if await self._creates(self._cluster.namespace, caller):
            return self._cluster.namespace
        own = [place for place in self._own(caller) if await self._creates(place, caller)]
        if not own:
            raise NotAllowed(
                f"you may not create workflows in any namespace: that takes the permission {Access.EDIT} in "
                "one, which an administrator can give you"
            )
        if len(own) > 1:
            sentence = f"is required, since you may create workflows in several: {', '.join(own)}"
            raise Invalid([at("/namespace", sentence)])
        return own[0]

    def _own(self, caller: Caller) -> list[str]:
        """The namespaces in which a caller might create workflows, besides the home namespace."""
        if self._reviews is None:
            return sorted(
                place for place in self._teams.placed(caller).namespaces if self._cluster.serves(place)
            )
        there = {one.namespace for one in self._cluster.index.protections}
        return sorted(there if self._cluster.others is None else self._cluster.others)

    async def _creates(self, namespace: str, caller: Caller) -> bool:
        if self._passes(caller):
            return True
        if self._reviews is not None:
            return await self._reviews.allows(caller, "create", namespace)
        return decisions.may_create(self._teams.placed(caller), namespace)

    # --- Kubernetes ---------------------------------------------------------------------------------

    def _passes(self, caller: Caller) -> bool:
        """Whether nothing has to be decided: for callers without identity, and administrators."""
        if not caller.subject:
            return caller.is_admin
        return self._reviews is None and self._teams.placed(caller).is_admin

    async def _placed_by_kubernetes(self, caller: Caller, namespace: str) -> Caller | None:
        """A caller as one of the namespace's team, if Kubernetes lets them read there; else None."""
        assert self._reviews is not None
        if not await self._reviews.allows(caller, "get", namespace):
            return None
        admin = await self._reviews.allows(caller, _EVERY_VERB, namespace)
        return replace(caller, memberships=caller.memberships | {Membership(namespace, admin=admin)})

    async def _reviewed(self, caller: Caller, verb: Verb, namespace: str) -> None:
        if self._reviews is None or await self._reviews.allows(caller, verb, namespace):
            return
        word = f"the permission {_WORDS[verb]}: " if verb in _WORDS else ""
        raise NotAllowed(
            f"this takes {word}the right to {verb} workflows in the namespace {namespace!r}, which "
            "Kubernetes does not give you; an administrator of the cluster can (RBAC)"
        )


def _no_workflow(id_: str) -> NotFound:
    return NotFound(f"there is no workflow {id_!r}")
