"""The journal of changes: each object once, in the order of last changes, for readers at any position."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.state.hub import Change
from nightcrawler_api.state.journal import Entry, Journal
from nightcrawler_api.state.protection import Protections
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS
from tests.support.views import execution, workflow


def shown(entries: list[Entry] | None) -> list[str] | None:
    return None if entries is None else [entry.key[1] for entry in entries]


def note(journal: Journal, name: str) -> None:
    journal.follow(Change(WORKFLOWS.plural, workflow(name), workflow(name, version=2)))


@given(
    st.lists(st.sampled_from("abcdef"), max_size=30),
    st.lists(st.integers(0, 30), max_size=30),
    st.integers(1, 4),
)
async def test_a_reader_gets_every_object_that_has_changed_after_its_position_or_is_told_to_resync(
    changed: list[str], reads: list[int], most: int
) -> None:
    journal, position, seen = Journal(Protections(), limit=4), 0, 0
    for number, name in enumerate(changed, start=1):
        note(journal, name)
        if number in reads:
            entries = journal.since(position, most)
            missed = changed[seen:number]
            if entries is None:
                assert len(set(changed[position:number])) > 4
                position = journal.last
            else:
                # The rest of what was missed is still to be read.
                latest = sorted(set(missed), key=lambda one: -missed[::-1].index(one))
                assert shown(entries) == latest[:most]
                position = entries[-1].number if entries else position
            seen = position


async def test_a_change_of_an_execution_is_a_change_of_its_workflow_too() -> None:
    journal = Journal(Protections())
    live, ended = execution("e", of="w", phase="Running"), execution("e", of="w", phase="Completed")
    for old, new, changes in ((None, live, 2), (live, live, 1), (live, ended, 2), (ended, None, 2)):
        before = journal.last
        journal.follow(Change(EXECUTIONS.plural, old, new))
        assert journal.last - before == changes
        kinds = [entry.kind for entry in journal.since(0, 10) or ()]
        assert kinds.count(EXECUTIONS.plural) == kinds.count(WORKFLOWS.plural) == 1


async def test_positions_in_the_future_or_already_dropped_cannot_be_resumed() -> None:
    journal = Journal(Protections(), limit=2)
    for name in "abc":
        note(journal, name)
    assert journal.since(4, 10) is None
    assert journal.since(0, 10) is None
    assert shown(journal.since(1, 10)) == ["b", "c"]
    assert shown(journal.since(3, 10)) == []


async def test_a_waiting_reader_is_woken_only_by_the_next_change() -> None:
    journal = Journal(Protections())
    waiting = [asyncio.create_task(journal.wait(0, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    note(journal, "a")
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await journal.wait(0, 60)
    assert not await journal.wait(1, 0)


async def test_who_saw_a_workflow_until_a_change_is_known_by_its_protection_and_number() -> None:
    protections = Protections()
    journal = Journal(protections)
    private = workflow("w", config={"security": {"visibility": "Private"}})
    team, public = workflow("w"), workflow("w", config={"security": {"visibility": "Public"}})
    for old, new in ((None, public), (public, public), (public, team), (team, private), (private, None)):
        journal.follow(Change(WORKFLOWS.plural, old, new))
    journal.follow(Change(EXECUTIONS.plural, execution("e", of="w"), None))
    entry = journal.workflow(("default", "w"))
    assert entry is not None
    kinds = [(one.visibility, number) for one, number in entry.before]
    assert kinds == [("Public", 3), ("Team", 4), ("Private", 5)]
    assert entry.number > 5
