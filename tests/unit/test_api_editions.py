"""Editions: a list that is said to be the same is the same, whatever has happened."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.editions import Edition
from nightcrawler_api.executions import presenter as executions
from nightcrawler_api.index import Index
from nightcrawler_api.workflows import presenter as workflows
from nightcrawler_crds.kube.cache import Cache
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from tests.support.views import execution, workflow

Json = dict[str, Any]

_workflow_changes = st.fixed_dictionaries(
    {},
    optional={
        "displayName": st.sampled_from(["one", "two"]),
        "priority": st.sampled_from(["low", "high"]),
        "suspend": st.booleans(),
        "config": st.just({"schedule": {"type": "cron", "cron": "0 3 * * *"}}),
        "tags": st.just(["unseen"]),
    },
)
_statuses = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Pending", "Running", "Completed", "Failed", "Cancelled"]),
        "startTime": st.sampled_from(["2025-07-10T14:45:00Z", "2025-07-10T14:46:00Z"]),
        "progress": st.sampled_from(["1/2", "2/2"]),
        "message": st.sampled_from(["waits", "waits longer"]),
    },
)
_last_runs = st.sampled_from([None, "2025-07-09T00:00:00Z"])
_owners = st.sampled_from(["", "uid-v"])
changes = st.lists(
    st.one_of(
        st.tuples(st.just("workflow"), st.sampled_from("vw"), _workflow_changes),
        st.tuples(
            st.just("reported"), st.sampled_from("vw"), st.sampled_from([None, "2025-07-09T00:00:00Z"])
        ),
        st.tuples(st.just("workflow gone"), st.sampled_from("vw"), st.none()),
        st.tuples(st.just("execution"), st.sampled_from("abc"), st.tuples(_statuses, _owners)),
        st.tuples(st.just("execution gone"), st.sampled_from("abc"), st.none()),
    ),
    max_size=30,
)


class Shown:
    """An index that is changed through caches, as the mirror's is, and everything that lists show of it."""

    def __init__(self) -> None:
        self.index = Index()
        self._workflows: Cache[WorkflowView] = Cache(self.index.workflow_changed)
        self._executions: Cache[ExecutionView] = Cache(self.index.execution_changed)
        self._version = 0

    def change(self, what: str, name: str, how: Any) -> None:
        """Let something happen."""
        self._version += 1
        version = self._version
        match what:
            case "workflow":
                self._workflows.upsert(workflow(name, uid=f"uid-{name}", version=version, **how))
            case "reported":
                last = {} if how is None else {"lastRunTime": how}
                known = self.index.workflow(("default", name))
                spec = known.view.spec if known else {}
                self._workflows.upsert(
                    workflow(name, uid=f"uid-{name}", version=version, status=last, **spec)
                )
            case "execution":
                status, owner = how
                # Of which workflow it is follows from its name, for that never changes.
                of = "w" if name == "c" else "v"
                self._executions.upsert(
                    execution(name, of=of, uid=f"run-{name}", version=version, owner=owner, **status)
                )
            case _:
                cache: Cache[Any] = self._workflows if what == "workflow gone" else self._executions
                for kept in [one for one in cache if one.metadata.name == name]:
                    # That it was deleted is forgotten, so that it can come again.
                    cache.forget(kept.metadata.key, kept.metadata.uid, version)
                    cache._tombstones.clear()

    def editions(self) -> dict[str, Edition]:
        """Of the list of workflows, and of those of executions by workflow."""
        found = {"": self.index.editions.current()}
        for known in self.index.page(0, 10)[0]:
            found[known.view.metadata.name] = known.runs.editions.current()
        return found

    def lists(self) -> dict[str, bytes]:
        """What they show."""
        known, _ = self.index.page(0, 10)
        shown: dict[str, Any] = {"": [workflows.row(one) for one in known]}
        for one in known:
            rows = [executions.row(run, "anonymous") for run in one.runs.page(0, 10)]
            shown[one.view.metadata.name] = rows
        return {name: msgspec.json.encode(rows) for name, rows in shown.items()}


@given(changes)
def test_while_an_edition_is_current_its_list_is_what_it_was(made: list[tuple[str, str, Any]]) -> None:
    shown = Shown()
    handed_out: list[tuple[str, Edition, bytes]] = []
    for change in made:
        shown.change(*change)
        lists = shown.lists()
        for name, edition, was in handed_out:
            if edition.current:
                assert lists[name] == was, (name, change)
        handed_out.extend((name, edition, lists[name]) for name, edition in shown.editions().items())


@given(changes)
def test_a_row_that_is_kept_is_what_would_be_made_now(made: list[tuple[str, str, Any]]) -> None:
    shown = Shown()
    for change in made:
        shown.change(*change)
        for known in shown.index.page(0, 10)[0]:
            row = msgspec.json.encode(workflows.row(known))
            assert known.row in (None, row), change
            known.row = row


def test_steps_that_get_on_leave_the_list_of_workflows_as_it_is() -> None:
    shown = Shown()
    shown.change("workflow", "v", {})
    shown.change("execution", "a", ({"phase": "Running", "progress": "1/2"}, ""))
    before = shown.editions()
    shown.change("execution", "a", ({"phase": "Running", "progress": "2/2"}, ""))
    assert before[""].current
    assert not before["v"].current


def test_what_the_operator_reports_of_a_workflow_leaves_the_lists_as_they_are() -> None:
    shown = Shown()
    shown.change("workflow", "v", {"priority": "high"})
    before = shown.editions()
    shown.change("reported", "v", None)
    assert before[""].current
    assert before["v"].current


def test_the_executions_of_a_workflow_are_no_business_of_another() -> None:
    shown = Shown()
    shown.change("workflow", "v", {})
    shown.change("workflow", "w", {})
    before = shown.editions()
    shown.change("execution", "c", ({"phase": "Running"}, ""))
    assert before["v"].current
    assert not before["w"].current


def test_nobody_pays_for_editions_that_nobody_has() -> None:
    shown = Shown()
    shown.change("workflow", "v", {})
    one = shown.index.editions.current()
    assert shown.index.editions.current() is one
    shown.change("workflow", "v", {"priority": "high"})
    assert not one.current
    assert shown.index.editions._current is None
