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
from tests.support.replica import ModelStore

T = TypeVar("T")
WHERE = ("default", "wf")


class CountingStore(ModelStore):
    """Counts what it lists, and selects by phase as the API server does; refuses while `away`."""

    def __init__(self, server: ModelServer) -> None:
        super().__init__(server)
        self.lists = 0
        self.listed = 0
        self.revisions_listed = 0
        self.away = False

    @override
    async def list_with_version(
        self, resource: Resource, namespace: str, kind: type[T], **selectors: Any
    ) -> tuple[list[T], int]:
        if self.away:
            raise errors.Unavailable("away")
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


class Desk:
    """One workflow, and the part of the operator that keeps its history."""

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
        """Write how long the history is."""
        self._edit({"history": {"completed": completed, "failed": failed}})

    def edit(self, image: str) -> None:
        """Write another content, with its revision."""
        self._edit({"steps": [{"name": "one", "image": image}]})
        meta = self._of_it(self.revision)
        with contextlib.suppress(errors.AlreadyExists):
            self.server.create(names.REVISIONS, {"metadata": meta})

    def _edit(self, spec: Json) -> None:
        generation = self.server.get(names.WORKFLOWS, WHERE)["metadata"]["generation"] + 1
        self.server.patch(names.WORKFLOWS, WHERE, {"metadata": {"generation": generation}, "spec": spec})

    def _of_it(self, name: str) -> Json:
        """The metadata of what the workflow owns."""
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
        """How many there are."""
        return len(self.server.of(names.REVISIONS))

    def end(self, phase: str = "Completed", *, noted: bool = True, **status: Any) -> str:
        """A run has ended."""
        name = f"run-{self.server.made:06}"
        body = {
            "metadata": self._of_it(name),
            "spec": {"workflowRef": {"name": WHERE[1]}},
            "status": {"phase": phase, "revision": self.revision, **status},
        }
        made = self.server.create(names.EXECUTIONS, body)
        if noted:
            self.history.run_ended(WHERE, msgspec.convert(made, ExecutionView, strict=False))
        return name

    def settle(self, name: str) -> None:
        """A run owes nothing any more."""
        self.server.patch(names.EXECUTIONS, (WHERE[0], name), {"status": {"settled": True}}, "status")
        self.history.run_settled(WHERE, "Completed")

    def runs(self, kind: KeptRuns = KeptRuns.COMPLETED) -> list[str]:
        """The runs there are, the oldest first."""
        there = self.server.of(names.EXECUTIONS).values()
        return sorted(r["metadata"]["name"] for r in there if KeptRuns.of(r["status"]["phase"]) is kind)

    async def prune(self) -> None:
        """Look, as whenever the workflow's status is written."""
        await self.history.prune(self.workflow)


def cost_of_a_run(desk: Desk, ended: int) -> float:
    return (desk.store.listed + desk.store.revisions_listed) / ended


async def test_a_short_history_is_kept_to_the_number_whatever_others_delete() -> None:
    desk = Desk(completed=3)
    for number in range(12):
        desk.end()
        await desk.prune()
        if number == 6:
            desk.server.delete(names.EXECUTIONS, (WHERE[0], desk.runs()[1]))
        assert len(desk.runs()) == min(number + 1, 3) - (number == 6)


async def test_runs_that_owe_something_stay_beyond_the_limit_until_they_are_settled() -> None:
    desk = Desk(completed=2)
    owing = [desk.end(settled=False) for _ in range(3)]
    settled = [desk.end() for _ in range(3)]
    await desk.prune()
    assert desk.runs() == [*owing, *settled[1:]]

    desk.settle(owing[1])
    await desk.prune()
    assert desk.runs() == [owing[0], owing[2], *settled[1:]]


async def test_runs_that_owe_something_do_not_have_a_long_history_listed_for_each_end() -> None:
    keep = 400
    desk = Desk(completed=keep)
    owing = [desk.end(noted=False, settled=False) for _ in range(keep)]
    for _ in range(keep):
        desk.end(noted=False)
    desk.end()
    await desk.prune()
    assert len(desk.runs()) == 2 * keep
    desk.store.listed = 0

    for name in owing[: keep // 2]:
        desk.end(settled=False)
        desk.settle(name)
        await desk.prune()

    assert cost_of_a_run(desk, keep) <= 2 * (SHARE + 1)


@pytest.mark.parametrize("keep", [200, 2_000])
async def test_a_run_that_ends_costs_the_same_however_long_the_history_is(keep: int) -> None:
    desk = Desk(completed=keep)
    for _ in range(keep):
        desk.end(noted=False)
    desk.end()
    await desk.prune()
    desk.store.listed = desk.store.revisions_listed = 0

    for _ in range(keep):
        desk.end()
        await desk.prune()
        assert keep <= len(desk.runs()) <= keep + keep // SHARE

    assert cost_of_a_run(desk, keep) <= SHARE + 1


async def test_failed_runs_do_not_have_the_completed_ones_listed() -> None:
    desk = Desk(completed=500, failed=2)
    for _ in range(400):
        desk.end(noted=False)
    desk.end()
    await desk.prune()
    desk.store.listed = 0

    for _ in range(20):
        desk.end("Failed")
        await desk.prune()

    assert len(desk.runs(KeptRuns.OTHERS)) == 2
    assert cost_of_a_run(desk, 20) <= 3


async def test_nothing_is_listed_where_no_run_has_ended() -> None:
    desk = Desk(completed=1)
    desk.end(noted=False)
    await desk.prune()
    assert desk.store.lists == 0


async def test_a_limit_that_was_lowered_holds_from_the_next_run_on_whatever_its_kind() -> None:
    desk = Desk(completed=500)
    for _ in range(300):
        desk.end()
    await desk.prune()
    desk.keep(completed=4)

    desk.end("Failed")
    await desk.prune()

    assert len(desk.runs()) == 4


async def test_a_new_leader_counts_what_ended_meanwhile() -> None:
    desk = Desk(completed=200)
    for _ in range(200):
        desk.end()
    await desk.prune()
    for _ in range(50):
        desk.end(noted=False)

    desk.history.invalidate()
    desk.end()
    await desk.prune()

    assert len(desk.runs()) == 200


async def test_counts_are_not_trusted_after_an_error() -> None:
    desk = Desk(completed=2)
    desk.end()
    await desk.prune()
    for _ in range(3):
        desk.end()
    desk.store.away = True
    with pytest.raises(errors.Unavailable):
        await desk.prune()

    desk.store.away = False
    await desk.prune()

    assert len(desk.runs()) == 2


async def test_a_deleted_workflow_is_forgotten() -> None:
    desk = Desk(completed=2)
    desk.end()
    await desk.prune()
    desk.history.forget(WHERE)
    assert not desk.history._histories
    assert not desk.history._to_prune


# --- revisions -------------------------------------------------------------------------------------


async def test_a_revision_is_deleted_with_the_last_run_that_used_it() -> None:
    desk = Desk(completed=3, failed=1)
    desk.end("Failed")
    for _ in range(2):
        desk.end()
    await desk.prune()
    desk.edit("second")
    for _ in range(3):
        desk.end()
        await desk.prune()
    assert desk.revisions == 2, "a failed run still names the first one"

    desk.end("Cancelled")
    await desk.prune()

    assert desk.revisions == 1
    assert desk.revision in {name for _, name in desk.server.of(names.REVISIONS)}


async def test_a_revision_without_runs_is_deleted_once_it_is_not_the_current_one() -> None:
    desk = Desk(completed=0)
    desk.end()
    await desk.prune()
    assert desk.revisions == 1
    desk.edit("second")

    desk.end()
    await desk.prune()

    assert [name for _, name in desk.server.of(names.REVISIONS)] == [desk.revision]


async def test_revisions_are_not_listed_while_all_runs_use_the_current_one() -> None:
    desk = Desk(completed=3)
    for _ in range(5):
        desk.end()
        await desk.prune()
    desk.store.revisions_listed = 0
    for _ in range(20):
        desk.end()
        await desk.prune()
    assert desk.store.revisions_listed == 0


@pytest.mark.parametrize("keep", [200, 1_000])
async def test_runs_of_ever_new_revisions_cost_the_same_however_long_the_history_is(keep: int) -> None:
    desk = Desk(completed=keep, failed=5)
    for number in range(2 * keep):
        desk.edit(f"image-{number}")
        desk.end("Failed" if number % 2 else "Completed")
        await desk.prune()
    desk.store.listed = desk.store.revisions_listed = 0

    for number in range(keep):
        desk.edit(f"late-{number}")
        desk.end("Failed" if number % 2 else "Completed")
        await desk.prune()

    assert cost_of_a_run(desk, keep) <= 4 * SHARE
    assert desk.revisions <= 1.2 * keep


# --- whatever happens ------------------------------------------------------------------------------

happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["Completed", "Failed", "Cancelled"]), st.integers(1, 60)),
        st.tuples(st.just("unnoted"), st.integers(1, 10)),
        st.tuples(st.sampled_from(["delete", "keep"]), st.integers(0, 150)),
        st.tuples(st.sampled_from(["invalidate", "away", "edit"]), st.just(0)),
    ),
    max_size=30,
)


@given(happenings)
async def test_no_run_within_the_history_is_deleted(story: list[tuple[str, int]]) -> None:
    desk = Desk(completed=105, failed=3)
    limits = {KeptRuns.COMPLETED: 105, KeptRuns.OTHERS: 3}
    for what, number in story:
        if KeptRuns.of(what):
            for _ in range(number):
                desk.end(what)
        elif what == "unnoted":
            for _ in range(number):
                desk.end(noted=False)
        elif what == "delete":
            for name in desk.runs()[-number:]:
                desk.server.delete(names.EXECUTIONS, (WHERE[0], name))
        elif what == "keep":
            limits[KeptRuns.COMPLETED] = number
            desk.keep(number, 3)
        elif what == "edit":
            desk.edit(str(desk.server.made))
        elif what == "invalidate":
            desk.history.invalidate()
        desk.store.away = what == "away"
        before = {kind: desk.runs(kind) for kind in KeptRuns}

        with contextlib.suppress(errors.Unavailable):
            await desk.prune()

        for kind, keep in limits.items():
            newest = before[kind][len(before[kind]) - min(keep, len(before[kind])) :]
            assert set(newest) <= set(desk.runs(kind))
        needed = {run["status"]["revision"] for run in desk.server.of(names.EXECUTIONS).values()}
        assert {*needed, desk.revision} <= {name for _, name in desk.server.of(names.REVISIONS)}
    # Once all is well, the history is as long as it says.
    desk.store.away = False
    desk.history.invalidate()
    desk.end()
    await desk.prune()
    assert all(len(desk.runs(kind)) <= keep for kind, keep in limits.items())
