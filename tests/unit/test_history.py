"""A workflow's history on a model of the API server: what goes, and what that costs."""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.views import ExecutionView, WorkflowView
from nightcrawler_crds.names import Resource
from nightcrawler_operator.cluster.observe import live_revision
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.history import SHARE, KeptRuns
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.reconcilers.history import History
from tests.support.modelserver import Json, ModelServer
from tests.support.modelstore import ModelStore

T = TypeVar("T")
WHERE = ("default", "wf")


class CountingStore(ModelStore):
    """Counts what it lists, and selects by phase as the API server does; refuses while `unreachable`."""

    def __init__(self, server: ModelServer) -> None:
        super().__init__(server)
        self.lists = 0
        self.listed = 0
        self.revisions_listed = 0
        self.unreachable = False

    @override
    async def list_with_version(
        self, resource: Resource, namespace: str, kind: type[T], **selectors: Any
    ) -> tuple[list[T], int]:
        if self.unreachable:
            raise errors.Unavailable("unreachable")
        found, version = await super().list_with_version(resource, namespace, kind, **selectors)
        if resource == names.REVISIONS:
            self.revisions_listed += len(found)
        else:
            found = [one for one in found if _is_selected(one, selectors["field_selector"])]
            self.lists += 1
            self.listed += len(found)
        return found, version


def _is_selected(run: Any, field_selector: str) -> bool:
    wanted = KeptRuns.COMPLETED if field_selector == "status.phase=Completed" else KeptRuns.OTHERS
    return KeptRuns.of(run.status.phase) is wanted


class Harness:
    """One workflow, and the operator's part that prunes its history."""

    def __init__(self, completed: int, failed: int = 10) -> None:
        self.server = ModelServer()
        self.store = CountingStore(self.server)
        self.cluster = ClusterState(self.store, "", lambda _: None)
        self.history = History(self.store, self.cluster, Limits())
        body = {"metadata": {"name": WHERE[1], "namespace": WHERE[0]}, "spec": {}}
        self.server.create(names.WORKFLOWS, body)
        self.keep(completed, failed)
        self.edit("first")

    def keep(self, completed: int, failed: int = 10) -> None:
        """Set the limits of the history."""
        self._edit({"history": {"completed": completed, "failed": failed}})

    def edit(self, image: str) -> None:
        """Change the spec, and create its revision."""
        self._edit({"steps": [{"name": "one", "image": image}]})
        meta = self._owned(self.revision)
        with contextlib.suppress(errors.AlreadyExists):
            self.server.create(names.REVISIONS, {"metadata": meta})

    def _edit(self, spec: Json) -> None:
        generation = self.server.get(names.WORKFLOWS, WHERE)["metadata"]["generation"] + 1
        self.server.patch(names.WORKFLOWS, WHERE, {"metadata": {"generation": generation}, "spec": spec})

    def _owned(self, name: str) -> Json:
        """Metadata of an object that the workflow owns."""
        owner = {"kind": "Workflow", "name": WHERE[1], "uid": self.workflow.metadata.uid}
        labels = {names.LABEL_WORKFLOW: WHERE[1]}
        return {"name": name, "namespace": WHERE[0], "labels": labels, "ownerReferences": [owner]}

    @property
    def workflow(self) -> WorkflowView:
        """As the operator reads it."""
        return msgspec.convert(self.server.get(names.WORKFLOWS, WHERE), WorkflowView, strict=False)

    @property
    def revision(self) -> str:
        """The name of the current revision."""
        found = live_revision(self.cluster, self.workflow)
        assert found is not None
        return found.name

    @property
    def revisions(self) -> int:
        """The number of revisions."""
        return len(self.server.of(names.REVISIONS))

    def end(self, phase: str = "Completed", *, observed: bool = True, **status: Any) -> str:
        """Create a run that has ended."""
        name = f"run-{self.server.made:06}"
        body = {
            "metadata": self._owned(name),
            "spec": {"workflowRef": {"name": WHERE[1]}},
            "status": {"phase": phase, "revision": self.revision, **status},
        }
        made = self.server.create(names.EXECUTIONS, body)
        if observed:
            self.history.run_ended(WHERE, msgspec.convert(made, ExecutionView, strict=False))
        return name

    def settle(self, name: str) -> None:
        """Record that a run owes nothing any more."""
        self.server.patch(names.EXECUTIONS, (WHERE[0], name), {"status": {"settled": True}}, "status")
        self.history.run_settled(WHERE, "Completed")

    def runs(self, kind: KeptRuns = KeptRuns.COMPLETED) -> list[str]:
        """The names of the runs, oldest first."""
        there = self.server.of(names.EXECUTIONS).values()
        return sorted(r["metadata"]["name"] for r in there if KeptRuns.of(r["status"]["phase"]) is kind)

    async def prune(self) -> None:
        """Prune, as the operator does when it writes the workflow's status."""
        await self.history.prune(self.workflow)


def cost_of_a_run(harness: Harness, ended: int) -> float:
    return (harness.store.listed + harness.store.revisions_listed) / ended


async def test_a_short_history_is_kept_to_the_number_whatever_others_delete() -> None:
    harness = Harness(completed=3)
    for number in range(12):
        harness.end()
        await harness.prune()
        if number == 6:
            harness.server.delete(names.EXECUTIONS, (WHERE[0], harness.runs()[1]))
        assert len(harness.runs()) == min(number + 1, 3) - (number == 6)


async def test_runs_that_owe_something_stay_beyond_the_limit_until_they_are_settled() -> None:
    harness = Harness(completed=2)
    owing = [harness.end(settled=False) for _ in range(3)]
    settled = [harness.end() for _ in range(3)]
    await harness.prune()
    assert harness.runs() == [*owing, *settled[1:]]

    harness.settle(owing[1])
    await harness.prune()
    assert harness.runs() == [owing[0], owing[2], *settled[1:]]


async def test_runs_that_owe_something_do_not_have_a_long_history_listed_for_each_end() -> None:
    keep = 400
    harness = Harness(completed=keep)
    owing = [harness.end(observed=False, settled=False) for _ in range(keep)]
    for _ in range(keep):
        harness.end(observed=False)
    harness.end()
    await harness.prune()
    assert len(harness.runs()) == 2 * keep
    harness.store.listed = 0

    for name in owing[: keep // 2]:
        harness.end(settled=False)
        harness.settle(name)
        await harness.prune()

    assert cost_of_a_run(harness, keep) <= 2 * (SHARE + 1)


@pytest.mark.parametrize("keep", [200, 2_000])
async def test_a_run_that_ends_costs_the_same_however_long_the_history_is(keep: int) -> None:
    harness = Harness(completed=keep)
    for _ in range(keep):
        harness.end(observed=False)
    harness.end()
    await harness.prune()
    harness.store.listed = harness.store.revisions_listed = 0

    for _ in range(keep):
        harness.end()
        await harness.prune()
        assert keep <= len(harness.runs()) <= keep + keep // SHARE

    assert cost_of_a_run(harness, keep) <= SHARE + 1


async def test_failed_runs_do_not_have_the_completed_ones_listed() -> None:
    harness = Harness(completed=500, failed=2)
    for _ in range(400):
        harness.end(observed=False)
    harness.end()
    await harness.prune()
    harness.store.listed = 0

    for _ in range(20):
        harness.end("Failed")
        await harness.prune()

    assert len(harness.runs(KeptRuns.OTHERS)) == 2
    assert cost_of_a_run(harness, 20) <= 3


async def test_nothing_is_listed_where_no_run_has_ended() -> None:
    harness = Harness(completed=1)
    harness.end(observed=False)
    await harness.prune()
    assert harness.store.lists == 0


async def test_a_limit_that_was_lowered_holds_from_the_next_run_on_whatever_its_kind() -> None:
    harness = Harness(completed=500)
    for _ in range(300):
        harness.end()
    await harness.prune()
    harness.keep(completed=4)

    harness.end("Failed")
    await harness.prune()

    assert len(harness.runs()) == 4


async def test_a_new_leader_counts_what_ended_meanwhile() -> None:
    harness = Harness(completed=200)
    for _ in range(200):
        harness.end()
    await harness.prune()
    for _ in range(50):
        harness.end(observed=False)

    harness.history.invalidate()
    harness.end()
    await harness.prune()

    assert len(harness.runs()) == 200


async def test_counts_are_not_trusted_after_an_error() -> None:
    harness = Harness(completed=2)
    harness.end()
    await harness.prune()
    for _ in range(3):
        harness.end()
    harness.store.unreachable = True
    with pytest.raises(errors.Unavailable):
        await harness.prune()

    harness.store.unreachable = False
    await harness.prune()

    assert len(harness.runs()) == 2


async def test_a_deleted_workflow_is_forgotten() -> None:
    harness = Harness(completed=2)
    harness.end()
    await harness.prune()
    harness.history.forget(WHERE)
    assert not harness.history._histories
    assert not harness.history._to_prune


# --- revisions -------------------------------------------------------------------------------------


async def test_a_revision_is_deleted_with_the_last_run_that_used_it() -> None:
    harness = Harness(completed=3, failed=1)
    harness.end("Failed")
    for _ in range(2):
        harness.end()
    await harness.prune()
    harness.edit("second")
    for _ in range(3):
        harness.end()
        await harness.prune()
    assert harness.revisions == 2, "a failed run still names the first one"

    harness.end("Cancelled")
    await harness.prune()

    assert harness.revisions == 1
    assert harness.revision in {name for _, name in harness.server.of(names.REVISIONS)}


async def test_a_revision_without_runs_is_deleted_once_it_is_not_the_current_one() -> None:
    harness = Harness(completed=0)
    harness.end()
    await harness.prune()
    assert harness.revisions == 1
    harness.edit("second")

    harness.end()
    await harness.prune()

    assert [name for _, name in harness.server.of(names.REVISIONS)] == [harness.revision]


async def test_revisions_are_not_listed_while_all_runs_use_the_current_one() -> None:
    harness = Harness(completed=3)
    for _ in range(5):
        harness.end()
        await harness.prune()
    harness.store.revisions_listed = 0
    for _ in range(20):
        harness.end()
        await harness.prune()
    assert harness.store.revisions_listed == 0


@pytest.mark.parametrize("keep", [200, 1_000])
async def test_runs_of_ever_new_revisions_cost_the_same_however_long_the_history_is(keep: int) -> None:
    harness = Harness(completed=keep, failed=5)
    for number in range(2 * keep):
        harness.edit(f"image-{number}")
        harness.end("Failed" if number % 2 else "Completed")
        await harness.prune()
    harness.store.listed = harness.store.revisions_listed = 0

    for number in range(keep):
        harness.edit(f"late-{number}")
        harness.end("Failed" if number % 2 else "Completed")
        await harness.prune()

    assert cost_of_a_run(harness, keep) <= 4 * SHARE
    assert harness.revisions <= 1.2 * keep


# --- any order of actions ------------------------------------------------------------------------------

actions = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["Completed", "Failed", "Cancelled"]), st.integers(1, 60)),
        st.tuples(st.just("unnoted"), st.integers(1, 10)),
        st.tuples(st.sampled_from(["delete", "keep"]), st.integers(0, 150)),
        st.tuples(st.sampled_from(["invalidate", "unreachable", "edit"]), st.just(0)),
    ),
    max_size=30,
)


@given(actions)
async def test_no_run_within_the_history_is_deleted(story: list[tuple[str, int]]) -> None:
    harness = Harness(completed=105, failed=3)
    limits = {KeptRuns.COMPLETED: 105, KeptRuns.OTHERS: 3}
    for what, number in story:
        if KeptRuns.of(what):
            for _ in range(number):
                harness.end(what)
        elif what == "unnoted":
            for _ in range(number):
                harness.end(observed=False)
        elif what == "delete":
            for name in harness.runs()[-number:]:
                harness.server.delete(names.EXECUTIONS, (WHERE[0], name))
        elif what == "keep":
            limits[KeptRuns.COMPLETED] = number
            harness.keep(number, 3)
        elif what == "edit":
            harness.edit(str(harness.server.made))
        elif what == "invalidate":
            harness.history.invalidate()
        harness.store.unreachable = what == "unreachable"
        before = {kind: harness.runs(kind) for kind in KeptRuns}

        with contextlib.suppress(errors.Unavailable):
            await harness.prune()

        for kind, keep in limits.items():
            newest = before[kind][len(before[kind]) - min(keep, len(before[kind])) :]
            assert set(newest) <= set(harness.runs(kind))
        needed = {run["status"]["revision"] for run in harness.server.of(names.EXECUTIONS).values()}
        assert {*needed, harness.revision} <= {name for _, name in harness.server.of(names.REVISIONS)}
    # Once all is well, the history is as long as it says.
    harness.store.unreachable = False
    harness.history.invalidate()
    harness.end()
    await harness.prune()
    assert all(len(harness.runs(kind)) <= keep for kind, keep in limits.items())
