"""When the holder of the Lease is known to be dead, and when it may only seem so."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.election.death import (
    Case,
    Container,
    Holder,
    Process,
    Stat,
    termination_line,
    why_dead,
    written_by,
)
from nightcrawler_crds.kube.nativeviews import LeasePodView, LeaseView
from nightcrawler_crds.names import ANNOTATION_HOLDER

HERE: Final = Process(host="h", boot="b1", pid_namespace=100, time_namespace=1, pid=7, start_time=500)
POD: Final = Container(namespace="ops", pod="operator-1", pod_uid="u1", name="operator")
OTHER_POD: Final = Container(namespace="ops", pod="operator-2", pod_uid="u2", name="operator")


def process(**changes: Any) -> Process:
    return msgspec.structs.replace(HERE, **changes)


def container(**changes: Any) -> Container:
    return msgspec.structs.replace(POD, **changes)


OWN: Final = Holder("own", process(pid=9, start_time=900))
OWN_IN_POD: Final = Holder("own", process(pid=1, start_time=900), POD)
STANDBY: Final = Holder("own", process(host="operator-2", pid_namespace=200, pid=1), OTHER_POD)


def pod(*statuses: dict[str, Any], uid: str = "u1", **more: Any) -> LeasePodView:
    body: dict[str, Any] = {
        "metadata": {"name": POD.pod, "uid": uid},
        "status": {"containerStatuses": statuses},
    }
    body["metadata"] |= more.pop("metadata", {})
    body["status"] |= more
    return msgspec.convert(body, LeasePodView, strict=False)


def ended(message: str = f"{termination_line('it')}\n", *, name: str = "operator", key: str = "state") -> Any:
    state = {"exitCode": 137, "reason": "Error", "message": message}
    return {"name": name, "state": {"running": {}}, key: {"terminated": state}}


# --- a process that we could see -------------------------------------------------------------------

SAME_PLACE: Final = {
    "nothing has its PID": (HERE, True, None, True),
    "it runs": (HERE, False, Stat("S", 4, 500), False),
    "it is stopped (SIGSTOP)": (HERE, False, Stat("T", 4, 500), False),
    "it hangs in the kernel": (HERE, False, Stat("D", 4, 500), False),
    "its PID is another's by now": (HERE, False, Stat("R", 1, 501), True),
    "it was killed, and its parent has not looked": (HERE, False, Stat("Z", 1, 500), True),
    "it was killed, and a thread of it still runs": (HERE, False, Stat("Z", 2, 500), False),
    "something has its PID, and does not show what": (HERE, False, None, False),
    "nobody could look": (HERE, None, None, False),
    "on another host": (process(host="h2"), True, None, False),
    "before another boot": (process(boot="b2"), True, None, False),
    "in another PID namespace": (process(pid_namespace=101), True, None, False),
    "with start times that count otherwise": (process(time_namespace=2), False, Stat("S", 1, 501), False),
}


@pytest.mark.parametrize(("its", "free", "stat", "dead"), SAME_PLACE.values(), ids=SAME_PLACE)
def test_a_process_of_our_own_pid_namespace(
    its: Process, free: bool | None, stat: Stat | None, dead: bool
) -> None:
    assert bool(why_dead(Case(OWN, Holder("it", its), free, stat))) == dead


def test_clones_of_a_virtual_machine_do_not_see_each_other() -> None:
    """Their Pods have the same boot and inodes, and the leader's PID is something else in each."""
    its = Holder("it", process(pid=1), POD)
    clone = Holder("own", process(pid=1, start_time=900), OTHER_POD)

    assert why_dead(Case(clone, its, False, Stat("S", 1, 900))) == ""


def test_a_process_does_not_report_itself_dead() -> None:
    assert why_dead(Case(OWN, Holder("it", OWN.process), False, Stat("R", 1, 900))) == ""


# --- a container that was restarted ----------------------------------------------------------------

RESTARTED: Final = {
    "in the namespace of before, which is gone": (process(pid=1, pid_namespace=99), POD, True),
    "before the host was booted": (process(boot="b0"), POD, True),
    "in this very instance": (process(), POD, False),
    "in another container": (process(pid_namespace=99), container(name="side-car"), False),
    "in another Pod of the same name": (process(pid_namespace=99), container(pod_uid="u0"), False),
    "in no Pod": (process(pid_namespace=99), None, False),
    "nobody knows in which process": (None, POD, False),
}


@pytest.mark.parametrize(("its", "where", "dead"), RESTARTED.values(), ids=RESTARTED)
def test_a_holder_that_ran_in_our_own_container(
    its: Process | None, where: Container | None, dead: bool
) -> None:
    alive = Stat("S", 1, HERE.start_time)

    assert bool(why_dead(Case(OWN_IN_POD, Holder("it", its, where), False, alive))) == dead


def test_a_reused_inode_hides_no_restart() -> None:
    """The first process of both instances has PID 1, and they differ in when they were started."""
    its = Holder("it", process(pid=1), POD)

    assert why_dead(Case(OWN_IN_POD, its, False, Stat("R", 1, 900)))


def test_without_our_own_identity_no_container_counts_as_restarted() -> None:
    own = Holder("own", None, POD)

    assert why_dead(Case(own, Holder("it", process(pid_namespace=99), POD))) == ""


# --- what the kubelet reports ----------------------------------------------------------------------

_MADE_UP: Final = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "could not be located"}
_ORPHANED: Final = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
_DELETED: Final = {"deletionTimestamp": "2025-07-10T14:00:00Z", "deletionGracePeriodSeconds": 0}
REPORTS: Final = {
    "its container has terminated": (pod(ended()), True),
    "it has, in a Pod that is being deleted": (pod(ended(), metadata=_DELETED), True),
    "it has, and was restarted": (pod(ended(key="lastState")), True),
    "it has, and said something else too": (pod(ended(f"so\n{termination_line('it')}\nlong")), True),
    "it has, as an init container": (pod(initContainerStatuses=[ended()]), True),
    "it runs": (pod({"name": "operator", "state": {"running": {}}}), False),
    "the instance before it has terminated": (pod(ended(termination_line("before"))), False),
    "the instance before it was restarted": (pod(ended(termination_line("be"), key="lastState")), False),
    "one whose name begins with its own": (pod(ended(termination_line("it-too"))), False),
    "something without a message has": (pod(ended("")), False),
    "the kubelet no longer finds it": (pod({"name": "operator", "state": {"terminated": _MADE_UP}}), False),
    "another container has terminated": (pod(ended(name="side-car")), False),
    "that of another Pod of its name has": (pod(ended(), uid="u9"), False),
    "there is no such Pod": (None, False),
    "it is being deleted by force": (
        pod({"name": "operator", "state": {"running": {}}}, metadata=_DELETED),
        False,
    ),
    "its node is gone, and the garbage collector calls it Failed": (
        pod({"name": "operator", "state": {"running": {}}}, phase="Failed", conditions=[_ORPHANED]),
        False,
    ),
    "it was evicted, and is still to be stopped": (
        pod({"name": "operator", "state": {"running": {}}}, phase="Failed", reason="Evicted"),
        False,
    ),
}


@pytest.mark.parametrize(("report", "dead"), REPORTS.values(), ids=REPORTS)
def test_what_a_standby_reads_of_the_leaders_pod(report: LeasePodView | None, dead: bool) -> None:
    holder = Holder("it", process(host="operator-1", pid=1), POD)

    assert bool(why_dead(Case(STANDBY, holder, pod=report))) == dead


def test_a_process_seen_alive_overrides_the_kubelets_report() -> None:
    holder = Holder("it", process(), POD)

    assert why_dead(Case(OWN_IN_POD, holder, False, Stat("S", 1, 500), pod(ended()))) == ""


# --- what stands in the Lease ----------------------------------------------------------------------


def lease(holder: str | None, annotation: str) -> LeaseView:
    body = {"metadata": {"annotations": {ANNOTATION_HOLDER: annotation}}, "spec": {"holderIdentity": holder}}
    return msgspec.convert(body, LeaseView, strict=False)


@pytest.mark.parametrize("holder", [Holder("it"), Holder("it", HERE), Holder("it", HERE, POD)])
def test_a_holder_is_read_as_it_was_written(holder: Holder) -> None:
    assert written_by(lease("it", msgspec.json.encode(holder).decode())) == holder


def test_an_annotation_of_the_previous_holder_is_ignored() -> None:
    annotation = msgspec.json.encode(Holder("before", HERE)).decode()

    assert written_by(lease("it", annotation)) is None
    assert written_by(lease(None, annotation)) is None


@pytest.mark.parametrize("pid", [0, -1, 1 << 40])
def test_a_pid_that_would_mean_several_processes_is_ignored(pid: int) -> None:
    annotation = msgspec.json.encode(Holder("it", process(pid=pid))).decode()

    assert written_by(lease("it", annotation)) is None


@given(
    st.text()
    | st.recursive(st.integers() | st.text(), st.lists).map(lambda v: msgspec.json.encode(v).decode())
)
def test_any_annotation_is_read_without_an_error(annotation: str) -> None:
    holder = written_by(lease("it", annotation))

    assert holder is None or holder.identity == "it"
