"""Pages of lists in a state of the archive: of one namespace, or merged from those of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from nightcrawler_api.archive import merged, pages, reading
from nightcrawler_api.archive.contract import ArchivedPage, ArchivedRun
from nightcrawler_api.archive.counts import Basis, KnownCounts, basis
from nightcrawler_api.archive.pages import FoundPage, PageQuery
from nightcrawler_api.archive.places import Place
from nightcrawler_api.archive.reading import Scope
from nightcrawler_api.archive.rows import micros_of
from nightcrawler_api.archive.state import State
from nightcrawler_api.state.runs import ExecutionQuery

Owners = Mapping[str, frozenset[str] | None]
"""UIDs of workflows by namespace; None: of all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page that is asked for, and what is known of its list.

    Attributes:
        query: What is listed.
        owner: The UID of the Workflow whose runs are listed.
        owners: The workflows whose runs are seen; None: all are.
        skip: So many rows precede the page.
        most: The most rows that it has.
        near: The nearest place in the list that is known.
        counts: How many rows the list had, and those that differ in their earliest start.
        now: The time, in microseconds since 1970.
    """

    query: ExecutionQuery
    owner: str | None
    owners: Owners | None
    skip: int
    most: int
    near: Place | None
    counts: KnownCounts
    now: int

    def basis(self, state: State) -> Basis:
        """From what the number of rows in this state is found."""
        begin = self.query.begin
        return basis(self.counts, None if begin is None else micros_of(begin), state, self.now)


Shown = tuple[ArchivedPage, Place | None]
"""A page, and its place in the list if that had to be found."""


def read(connection: Connection, state: State, wanted: Wanted) -> Shown:
    """The page, in a transaction that reads this state."""
    scopes = scopes_of(state, wanted.query, wanted.owners)
    if len(scopes) == 1:
        (scope,) = scopes
        near = wanted.near and pages.in_state(connection, wanted.near, state, scope, wanted.owner)
        return shown(of_one(scope, state, wanted, near).read(connection), state, wanted)
    counted = wanted.basis(state)
    rows = [reading.count(connection, scope.where, scope.query, wanted.owner, counted) for scope in scopes]
    total = counted.with_counted(sum(rows))
    found = merged.page(connection, scopes, wanted.owner, skip=wanted.skip, most=wanted.most, total=total)
    return ArchivedPage([ArchivedRun(row) for row in found], total, state.upto), None


def of_one(scope: Scope, state: State, wanted: Wanted, near: Place | None) -> PageQuery:
    """The statement of the page where one namespace has all of it; `near` is a place in this state."""
    return pages.page(
        scope, wanted.owner, skip=wanted.skip, most=wanted.most, counted=wanted.basis(state), near=near
    )


def shown(found: FoundPage, state: State, wanted: Wanted) -> Shown:
    """The page that a statement of `of_one` has found in this state."""
    place = None
    if found.first:
        place = Place(wanted.skip, found.first, state.name, state.removals, state.upto)
    return ArchivedPage([ArchivedRun(row) for row in found.rows], found.total, state.upto), place


def scopes_of(state: State, query: ExecutionQuery, owners: Owners | None) -> list[Scope]:
    """The namespaces in which there can be something that a query asks for, in the order of their names."""
    places = {place for place in (query.namespace, query.workflow and query.workflow[0]) if place is not None}
    found = []
    for namespace, key in sorted(state.keys.items()):
        if places - {namespace}:
            continue
        own = None if owners is None else owners.get(namespace, frozenset())
        if own is None or own:
            found.append(Scope(key, namespace, replace(query, owners=own)))
    return found
