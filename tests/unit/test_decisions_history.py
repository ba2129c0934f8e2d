"""Which ended runs and revisions go, and when it is time to look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from nightcrawler_crds.kube.nativeviews import RevisionView
from nightcrawler_operator.decisions.history import (
    EXACT,
    Count,
    EndedRun,
    KeptRuns,
    is_due,
    is_worth_it,
    sorted_out,
    unneeded_revisions,
)
from tests.support.snapshots import wire


def a_run(name: str, phase: str, created: float, **metadata: Any) -> EndedRun:
    owners = {"ownerReferences": [{"kind": "Workflow", "name": "wf", "uid": "wf-uid"}]}
    meta = {"name": name, "creationTimestamp": wire(created), **owners} | metadata
    return msgspec.convert({"metadata": meta, "status": {"phase": phase}}, EndedRun, strict=False)


def owing(run: EndedRun) -> EndedRun:
    return msgspec.structs.replace(run, status=msgspec.structs.replace(run.status, settled=False))


def going(runs: Iterable[EndedRun], kind: KeptRuns, keep: int) -> list[str]:
    return [run.metadata.name for run in sorted_out(runs, kind, keep, "wf-uid")[1]]


def test_the_oldest_ended_runs_beyond_the_history_are_deleted() -> None:
    completed = [a_run(f"c{i}", "Completed", created=i) for i in range(5)]
    failed = [a_run(f"f{i}", phase, created=i) for i, phase in enumerate(("Failed", "Cancelled", "Failed"))]
    runs = [*completed, *failed]

    assert going(runs, KeptRuns.COMPLETED, 3) == ["c1", "c0"]
    assert going(runs, KeptRuns.OTHERS, 1) == ["f1", "f0"]
    assert [run.metadata.name for run in sorted_out(runs, KeptRuns.COMPLETED, 3, "wf-uid")[0]] == [
        "c4",
        "c3",
        "c2",
    ]


def test_a_run_that_still_owes_something_stays_however_old_it_is() -> None:
    runs = [a_run(f"c{i}", "Completed", created=i) for i in range(5)]
    runs[0], runs[4] = owing(runs[0]), owing(runs[4])

    assert going(runs, KeptRuns.COMPLETED, 2) == ["c2", "c1"]
    assert [run.metadata.name for run in sorted_out(runs, KeptRuns.COMPLETED, 2, "wf-uid")[0]] == [
        "c4",
        "c3",
        "c0",
    ]


def test_the_order_of_a_list_does_not_matter_and_ties_are_broken_by_name() -> None:
    assert going([a_run(name, "Completed", created=1) for name in "bca"], KeptRuns.COMPLETED, 1) == ["b", "a"]


@pytest.mark.parametrize("kind", KeptRuns)
def test_live_runs_and_those_that_are_being_deleted_are_neither_counted_nor_deleted(kind: KeptRuns) -> None:
    phase = "Completed" if kind is KeptRuns.COMPLETED else "Cancelled"
    runs = [a_run(phase or "new", phase, created=0) for phase in ("", "Pending", "Running", "Cancelling")]
    gone = a_run("gone", phase, 9, deletionTimestamp=wire(10), deletionGracePeriodSeconds=0)

    assert going([*runs, gone, a_run("old", phase, 1)], kind, 0) == ["old"]
    assert going([gone, a_run("kept", phase, 1)], kind, 1) == []


def test_nothing_within_the_history_is_deleted() -> None:
    runs = [a_run("a", "Completed", 0), a_run("b", "Failed", 0)]
    assert [going(runs, kind, 1) for kind in KeptRuns] == [[], []]


def test_a_history_that_was_never_counted_is_due() -> None:
    assert is_due(None, 0)
    assert is_due(None, 10_000)


def test_a_short_history_is_due_whenever_a_run_of_its_kind_has_ended() -> None:
    assert is_due(Count(3, since=1), EXACT)
    assert not is_due(Count(EXACT), EXACT)


def test_a_long_history_is_due_when_it_is_exceeded_by_a_twentieth() -> None:
    assert not is_due(Count(2_000, since=100), 2_000)
    assert is_due(Count(2_000, since=101), 2_000)


def test_a_history_whose_limit_was_lowered_is_due_without_another_run_of_its_kind() -> None:
    assert is_due(Count(50), 10)
    assert is_due(Count(10_000), 500)


def test_a_long_list_is_worth_it_once_there_is_enough_to_find() -> None:
    assert is_worth_it(1, EXACT)
    assert not is_worth_it(5, 10_000)
    assert is_worth_it(500, 10_000)


def test_runs_that_only_have_the_label_of_a_workflow_are_neither_counted_nor_deleted() -> None:
    another = [{"kind": "Workflow", "name": "wf", "uid": "another-uid"}]
    others = [
        a_run("restored", "Completed", 0, ownerReferences=[]),
        a_run("another's", "Completed", 9, ownerReferences=another),
    ]

    assert going([*others, a_run("own", "Completed", 1)], KeptRuns.COMPLETED, 1) == []
    assert going(others, KeptRuns.COMPLETED, 0) == []


def test_revisions_that_no_run_names_are_deleted() -> None:
    there = [a_revision("old"), a_revision("used"), a_revision("another's", uid="old-uid")]

    assert [r.metadata.name for r in unneeded_revisions(there, {"used"}, "wf-uid")] == ["old"]


def a_revision(name: str, uid: str = "wf-uid") -> RevisionView:
    owners = [{"kind": "Workflow", "name": "wf", "uid": uid}]
    return msgspec.convert({"metadata": {"name": name, "ownerReferences": owners}}, RevisionView)
