"""The index: order, filters, search and counts, whatever the order of changes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.state import index as indexing
from nightcrawler_api.state import ordering
from nightcrawler_api.state.index import Index, WorkflowEntry, WorkflowQuery
from nightcrawler_api.state.ordering import Order, Ordering, SortKey, Timeline, part
from nightcrawler_api.state.protection import Protections
from nightcrawler_api.state.runs import ExecutionQuery, Run, Runs
from nightcrawler_crds.kube.cache import Cache
from nightcrawler_crds.kube.views import ExecutionView
from tests.support.views import execution, workflow

PHASES = ("", "Pending", "Running", "Cancelling", "Completed", "Failed", "Cancelled")
WORDS = {"completed": "Completed", "failed": "Failed", "running": "Running"}


def entry(name: str = "wf-1001", **spec: Any) -> WorkflowEntry:
    view = workflow(name, **spec)
    return WorkflowEntry(view, Runs(), Protections().of(view))


def run(view: ExecutionView) -> Run:
    return Run(view, Protections().of_orphans("default"))


keys = st.tuples(st.integers(0, 5).map(float), st.sampled_from("abcdefgh"))


def ids(known: Sequence[WorkflowEntry]) -> list[str]:
    return [one.view.metadata.name for one in known]


def names(executions: list[ExecutionView]) -> list[str]:
    return [one.metadata.name for one in executions]


@dataclass(frozen=True)
class Entry:
    """An entry of a list with nothing but its order, and a value to sort by."""

    order: Order
    value: float | None = None


@given(st.lists(keys, unique_by=lambda key: key[1]), st.data())
def test_a_timeline_is_sorted_after_any_additions_and_removals(
    keys: list[tuple[float, str]], data: st.DataObject
) -> None:
    timeline: Timeline[Entry] = Timeline()
    entries = [Entry((at, "", name)) for at, name in keys]
    for entry in entries:
        timeline.add(entry)
        if data.draw(st.booleans()):
            timeline.replace(entry)  # a read in between
    gone = data.draw(st.sets(st.sampled_from(entries)) if keys else st.just(set()))
    for entry in gone:
        timeline.remove(Entry(entry.order))
    offset, limit = data.draw(st.integers(0, 12)), data.draw(st.integers(0, 12))
    newest = sorted(set(entries) - gone, key=lambda entry: entry.order, reverse=True)
    assert list(timeline) == newest
    assert timeline.page(offset, limit) == newest[offset : offset + limit]
    assert len(timeline) == len(newest)


entries = st.lists(
    st.builds(Entry, st.tuples(st.sampled_from([0.0, 1.0]), st.just(""), st.sampled_from("abcdefghij"))),
    unique_by=lambda entry: entry.order,
)
values = st.none() | st.integers(0, 3).map(float)


@given(entries, st.data(), st.booleans(), st.booleans(), st.integers(1, 4), st.booleans())
def test_pages_and_cursors_split_a_sorted_list_without_gap_or_repetition(
    unsorted: list[Entry], data: st.DataObject, by_value: bool, descending: bool, limit: int, few: bool
) -> None:
    there = sorted(
        (replace(entry, value=data.draw(values)) for entry in unsorted), key=lambda entry: entry.order
    )
    value_of = SortKey[Entry](lambda entry: entry.value) if by_value else None
    valued = [entry for entry in there if not by_value or entry.value is not None]
    valued.sort(key=lambda e: (e.value if by_value else 0, e.order), reverse=descending)
    without = [entry for entry in there if entry not in valued]
    expected = valued + (without[::-1] if descending else without)

    found: list[Entry] = []
    pages: list[Entry] = []
    after = None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ordering, "_FEW", 2_000 if few else 0)
        while True:
            page = part(there, Ordering("x", descending, after), 0, limit, value_of)
            assert page.total == len(there)
            found += page.entries
            if (after := page.next) is None:
                break
        for offset in range(0, len(there) + limit, limit):
            pages += part(there, Ordering("x", descending), offset, limit, value_of).entries
    assert found == pages == expected


changes = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([*PHASES, "deleted"]), st.booleans()),
    max_size=40,
)


@given(changes)
def test_counts_and_pages_of_a_status_agree_with_the_executions_themselves(
    changes: list[tuple[str, str, bool]],
) -> None:
    index = Index()
    cache: Cache[ExecutionView] = Cache(index.execution_changed)
    index.workflow_changed(None, workflow("w"))
    alive: dict[str, ExecutionView] = {}
    for version, (name, phase, cancel) in enumerate(changes, start=1):
        if phase == "deleted":
            if name in alive:
                gone = alive.pop(name)
                cache.forget(gone.metadata.key, gone.metadata.uid, version)
            continue
        # A name that comes again is another object.
        uid = alive[name].metadata.uid if name in alive else f"{name}-{version}"
        new = execution(name, of="w", uid=uid, version=version, phase=phase, spec={"cancel": cancel})
        cache.upsert(new)
        alive[name] = new
    known = index.workflow(("default", "w"))
    assert known
    words = {"completed": "Completed", "failed": "Failed", "cancelled": "Cancelled"}
    for word, phase in words.items():
        expected = sorted((n for n, e in alive.items() if e.status.phase == phase), reverse=True)
        assert names(known.runs.page(0, 10, word)) == expected  # type: ignore[arg-type]
        assert known.runs.count(word) == len(expected)  # type: ignore[arg-type]
    live = {name for name, one in alive.items() if one.status.phase not in words.values()}
    assert set(names(known.runs.live())) == live
    assert known.runs.in_flight == len(live)
    assert known.runs.count() == len(known.runs) == len(alive)
    assert known.status == ("active" if live else "inactive")


@given(
    st.lists(st.sets(st.sampled_from("xy")), max_size=4),
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(sorted(WORDS.values())), st.integers(0, 3)), max_size=12
    ),
    st.builds(
        ExecutionQuery,
        workflow=st.none() | st.sampled_from([("default", name) for name in ("w0", "w1", "w4", "w9")]),
        tags=st.frozensets(st.sampled_from("xyz"), max_size=2),
        status=st.none() | st.sampled_from(sorted(WORDS)),
    ),
    st.sampled_from([0, 1_000]),
)
def test_executions_of_tagged_workflows_are_found_however_few_they_are(
    tags: list[set[str]], runs: list[tuple[int, str, int]], query: ExecutionQuery, sparse: int
) -> None:
    index = Index()
    for number, some in enumerate(tags):
        index.workflow_changed(None, workflow(f"w{number}", tags=sorted(some)))
    for number, (of, phase, at) in enumerate(runs):
        made = f"2025-07-10T14:44:0{at}Z"
        index.execution_changed(None, execution(f"e{number}", of=f"w{of}", created=made, phase=phase))
    expected = [
        f"e{number}"
        for at, number in sorted((at, f"{number}") for number, (_, _, at) in enumerate(runs))
        for of, phase, _ in [runs[int(number)]]
        if query.workflow in (None, ("default", f"w{of}"))
        and (not query.tags or (of < len(tags) and query.tags <= tags[of]))
        and (query.status is None or phase == WORDS[query.status])
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(indexing, "_SPARSE", sparse)
        found = index.matching(index.runs, query)
    assert [run.view.metadata.name for run in found] == expected


def second(number: int) -> float:
    return datetime(2025, 1, 1, 0, 0, number, tzinfo=UTC).timestamp()


def filled() -> Index:
    index = Index()
    listed = [
        workflow(
            "w1",
            created="2025-01-01T00:00:01Z",
            displayName="GPU Training",
            priority="high",
            tags=["gpu", "nightly"],
            environments=["awsVirginia"],
            annotations={"nightcrawler.dev/creator": "ann"},
        ),
        workflow(
            "w2", created="2025-01-01T00:00:03Z", displayName="Nightly report", description="Sums UP the day"
        ),
        workflow("w3", created="2025-01-01T00:00:02Z", displayName="gpu check", priority="low", tags=["gpu"]),
        workflow(
            "w4", created="2025-01-01T00:00:02Z", displayName="Straße", config={"schedule": {"type": "cron"}}
        ),
    ]
    random.Random(4).shuffle(listed)
    for view in listed:
        index.workflow_changed(None, view)
    index.execution_changed(None, execution("e1", of="w1", phase="Running"))
    return index


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, ["w2", "w4", "w3", "w1"]),
        ({"status": "active"}, ["w4", "w1"]),
        ({"status": "inactive"}, ["w2", "w3"]),
        ({"priority": "high"}, ["w1"]),
        ({"priority": "medium"}, ["w2", "w4"]),
        ({"search": "gpu"}, ["w3", "w1"]),
        ({"search": "up THE"}, ["w2"]),
        ({"search": "STRASSE"}, ["w4"]),
        ({"search": "ｇｐｕ"}, ["w3", "w1"]),
        ({"search": "report\nSums"}, ["w2"]),
        ({"search": "reportSums"}, []),
        ({"search": "gpu", "status": "active", "priority": "high"}, ["w1"]),
        ({"search": "w1"}, []),
        ({"namespace": "default", "tags": frozenset({"gpu"})}, ["w3", "w1"]),
        ({"namespace": "other"}, []),
        ({"tags": frozenset({"gpu"})}, ["w3", "w1"]),
        ({"tags": frozenset({"gpu", "nightly"})}, ["w1"]),
        ({"creators": {"ann"}}, ["w1"]),
        ({"creators": {"anonymous", ""}}, ["w2", "w4", "w3"]),
        ({"environments": frozenset({"virginia", "awsVirginia"})}, ["w1"]),
        ({"begin": second(2), "end": second(3)}, ["w4", "w3"]),
        ({"ordering": Ordering("name", descending=False)}, ["w3", "w1", "w2", "w4"]),
        ({"ordering": Ordering("priority")}, ["w1", "w2", "w4", "w3"]),
        ({"ordering": Ordering("lastRun")}, ["w1", "w2", "w4", "w3"]),
        ({"ordering": Ordering("createdAt", descending=False)}, ["w1", "w3", "w4", "w2"]),
    ],
)
def test_a_list_has_what_matches_all_filters_newest_first(
    question: dict[str, Any], expected: list[str]
) -> None:
    found = filled().page(0, 10, WorkflowQuery(**question))
    assert (ids(found.entries), found.total) == (expected, len(expected))


@pytest.mark.parametrize("filters", [{}, {"search": "a"}])
def test_pages_split_the_list_and_the_total_stays(filters: dict[str, Any]) -> None:
    index = filled()
    everything = index.page(0, 100, WorkflowQuery(**filters))
    pages = [index.page(offset, 2, WorkflowQuery(**filters)) for offset in range(0, 8, 2)]
    assert [one for page in pages for one in page.entries] == everything.entries
    assert {page.total for page in pages} == {everything.total}
    assert pages[-1].entries == []


def test_executions_may_be_observed_before_their_workflow() -> None:
    index = Index()
    index.execution_changed(None, execution("e1", of="w", phase="Running"))
    assert index.workflow(("default", "w")) is None
    index.workflow_changed(None, workflow("w"))
    known = index.workflow(("default", "w"))
    assert known
    assert known.status == "active"
    assert names(known.runs.page(0, 10)) == ["e1"]


def test_objects_being_deleted_are_not_listed() -> None:
    index, view, run = Index(), workflow("w"), execution("e", of="w", phase="Running")
    index.workflow_changed(None, view)
    index.execution_changed(None, run)
    index.execution_changed(run, execution("e", of="w", phase="Running", deleted="2025-07-10T15:00:00Z"))
    known = index.workflow(("default", "w"))
    assert known
    assert known.runs.latest is None
    index.workflow_changed(view, workflow("w", deleted="2025-07-10T15:00:00Z"))
    assert index.workflow(("default", "w")) is None
    assert index.page(0, 10).total == 0
    assert index.runs.count() == 0


def test_nothing_is_left_of_a_workflow_and_its_executions_once_all_are_gone() -> None:
    index = Index()
    for order in (True, False):
        view, run = workflow("w"), execution("e", of="w")
        index.workflow_changed(None, view)
        index.execution_changed(None, run)
        ends = [
            lambda v=view: index.workflow_changed(v, None),
            lambda r=run: index.execution_changed(r, None),
        ]
        for end in ends if order else reversed(ends):
            end()
        assert index._runs == index._kinds == index._run_kinds == {}
        assert (len(index), len(index.runs)) == (0, 0)


def test_the_latest_execution_is_the_newest_by_creation() -> None:
    runs = Runs()
    runs.add(run(execution("new", created="2025-07-11T00:00:00Z")))
    runs.add(run(execution("old", created="2025-07-10T00:00:00Z")))
    assert runs.latest
    assert runs.latest.metadata.name == "new"


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({}, "inactive"),
        ({"config": {"schedule": {"type": "cron", "cron": "0 0 * * 1"}}}, "active"),
        ({"config": {"schedule": {"type": "cron", "cron": "0 0 * * 1"}}, "suspend": True}, "inactive"),
        ({"config": {}, "suspend": False}, "inactive"),
    ],
)
def test_a_schedule_that_is_not_suspended_makes_a_workflow_active(spec: dict[str, Any], status: str) -> None:
    assert entry(**spec).status == status


def test_a_workflow_without_a_display_name_is_shown_by_its_id() -> None:
    assert entry("hello").name == "hello"


def test_runs_of_a_deleted_workflow_do_not_belong_to_one_of_the_same_name() -> None:
    index = Index()
    index.execution_changed(None, execution("of-before", of="w", owner="before"))
    index.execution_changed(None, execution("adopted", of="w", owner="now"))
    index.execution_changed(None, execution("not-adopted-yet", of="w"))
    index.workflow_changed(None, workflow("w", uid="now"))
    index.execution_changed(None, execution("later", of="w", owner="before", phase="Running"))
    known = index.workflow(("default", "w"))
    assert known
    assert set(names(known.runs.page(0, 10))) == {"adopted", "not-adopted-yet"}
    assert known.runs.get("default", "of-before") is None


def test_a_recreated_workflow_gets_unowned_runs_and_no_others() -> None:
    index = Index()
    first, second = workflow("w", uid="first"), workflow("w", uid="second")
    unowned, of_first = execution("unowned", of="w"), execution("of-first", of="w", owner="first")
    index.workflow_changed(None, first)
    index.execution_changed(None, unowned)
    index.execution_changed(None, of_first)
    index.workflow_changed(first, None)
    index.workflow_changed(None, second)
    known = index.workflow(("default", "w"))
    assert known
    assert names(known.runs.page(0, 10)) == ["unowned"]
    adopted = execution("unowned", of="w", owner="second", version=2)
    index.execution_changed(unowned, adopted)
    assert known.runs.get("default", "unowned") is adopted
    index.execution_changed(of_first, None)
    index.execution_changed(adopted, None)
    index.workflow_changed(second, None)
    assert not index._runs, "nothing is kept of what is gone"


@pytest.mark.parametrize("steps", [1, 2])
def test_an_execution_moved_to_another_workflow_is_listed_only_there(steps: int) -> None:
    index = Index()
    cache: Cache[ExecutionView] = Cache(index.execution_changed)
    index.workflow_changed(None, workflow("first"))
    index.workflow_changed(None, workflow("second"))
    first, second = index.workflow(("default", "first")), index.workflow(("default", "second"))
    assert first
    assert second
    cache.upsert(execution("run", of="first", phase="Running"))

    for version in range(2, 2 + steps):
        phase = "Running" if version == 2 else "Cancelled"
        cache.upsert(execution("run", of="second", version=version, phase=phase, spec={"cancel": True}))

    assert (names(first.runs.page(0, 10)), names(second.runs.page(0, 10))) == ([], ["run"])
    cache.forget(("default", "run"), "uid-of-run", 9)
    assert (len(first.runs), len(second.runs), index._runs) == (0, 0, {})
