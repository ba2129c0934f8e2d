"""The index shows what is seen, by the protection that each workflow has now, whatever was before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.state.index import Index, WorkflowQuery
from nightcrawler_api.state.runs import ExecutionQuery
from tests.support.views import execution, workflow

WORDS_OF_VISIBILITY = ("Private", "Team", "Public")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "delete", "run"]),
            st.integers(0, 2),
            st.sampled_from(WORDS_OF_VISIBILITY),
            st.sampled_from(["ann", "bob"]),
        ),
        max_size=20,
    ),
    st.sets(st.tuples(st.sampled_from(WORDS_OF_VISIBILITY), st.sampled_from(["ann", "bob"]))),
)
def test_lists_have_what_is_seen_by_the_protection_of_now(
    changes: list[tuple[str, int, str, str]], wanted: set[tuple[str, str]]
) -> None:
    index = Index()
    there: dict[str, Any] = {}
    runs: dict[str, tuple[str, str, tuple[str, str]]] = {}
    for number, (what, which, visibility, creator) in enumerate(changes):
        name = f"w{which}"
        old = there.get(name)
        if what == "write":
            new = workflow(
                name,
                uid=old.metadata.uid if old else f"uid-{number}",
                version=number + 1,
                annotations={"nightcrawler.dev/creator-id": creator},
                config={"security": {"visibility": visibility}},
            )
            index.workflow_changed(old, new)
            there[name] = new
            # Runs of an earlier workflow of this name stay as they were protected.
            kept = {
                r: (w, u, (visibility, creator)) for r, (w, u, _) in runs.items() if u == new.metadata.uid
            }
            runs |= kept
        elif what == "delete" and old is not None:
            index.workflow_changed(old, None)
            del there[name]
        elif what == "run" and old is not None:
            run = f"e{number}"
            index.execution_changed(None, execution(run, of=name, owner=old.metadata.uid, phase="Running"))
            kind = index.workflow(("default", name))
            assert kind is not None
            runs[run] = (name, old.metadata.uid, (kind.protection.visibility, kind.protection.creator))
    seen = frozenset(one for one in index.protections if (one.visibility, one.creator) in wanted)
    shown = index.page(0, 100, WorkflowQuery(seen=seen))
    expected = {
        name
        for name, view in there.items()
        if (view.spec["config"]["security"]["visibility"], view.metadata.annotations.creator_id) in wanted
    }
    assert {one.view.metadata.name for one in shown.entries} == expected
    assert shown.total == len(expected)
    found = index.executions(index.runs, 0, 100, ExecutionQuery(seen=seen), datetime.now(UTC))  # noqa: TID251
    assert {run.view.metadata.name for run in found.entries} == {
        run for run, (_, _, kind) in runs.items() if kind in wanted
    }
    assert found.total == len(found.entries)
    # By what is counted, filters are left out for those who see everything.
    assert sum(index._kinds.values()) == len(index)
    assert index._run_kinds == Counter(run.protection for run in index.runs.entries())


def test_runs_whose_workflow_is_not_known_are_of_nobody() -> None:
    index = Index()
    index.execution_changed(None, execution("e", of="w", phase="Running"))
    [kind] = index.protections
    assert (kind.namespace, kind.creator, kind.visibility) == ("default", "", "Private")
    index.workflow_changed(None, workflow("w", config={"security": {"visibility": "Public"}}))
    assert [run.protection.visibility for run in index.runs.entries()] == ["Public"]
