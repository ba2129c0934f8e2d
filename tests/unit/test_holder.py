"""What a process sees of itself and of others: the real `/proc`, and folders that play one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from nightcrawler_crds import errors
from nightcrawler_crds.election.death import Container, Holder, Stat, termination_line
from nightcrawler_crds.election.holder import (
    Witness,
    own_holder,
    own_process,
    read_stat,
    stat_of,
    write_identity,
)
from tests.support.polling import eventually

POD: Final = Container(namespace="ops", pod="operator-1", pod_uid="u1", name="operator")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")


class Pods:
    """A store with one Pod, or an error, or nothing."""

    def __init__(self, answer: dict[str, Any] | errors.ApiError | None = None) -> None:
        self.answer = answer
        self.asked = 0

    async def get(self, resource: Any, namespace: str, name: str, kind: type[Any]) -> Any:
        self.asked += 1
        if isinstance(self.answer, errors.ApiError):
            raise self.answer
        if self.answer is None:
            raise errors.NotFound(f"no {resource.kind} {namespace}/{name}")
        return msgspec.convert(self.answer, kind, strict=False)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing until it is ended."""
    with subprocess.Popen(["/bin/sleep", "600"]) as made:
        yield made
        made.kill()


def holder_of(pid: int) -> Holder:
    """What a process would write of itself that sees what we see."""
    own, stat = own_process(), stat_of(pid)
    assert own is not None
    assert stat is not None
    return Holder("it", msgspec.structs.replace(own, pid=pid, start_time=stat.start_time))


async def why_dead(holder: Holder, pods: Pods | None = None) -> str:
    return await Witness(pods or Pods(), own_holder()).why_dead(holder)


async def test_a_running_process_is_alive_and_a_killed_one_is_dead(
    child: subprocess.Popen[bytes],
) -> None:
    holder = holder_of(child.pid)
    assert await why_dead(holder) == ""
    child.kill()
    child.wait()
    assert await why_dead(holder) == f"its process {child.pid} on this host is gone"


async def test_a_stopped_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    holder = holder_of(child.pid)
    child.send_signal(signal.SIGSTOP)
    eventually(lambda: (stat := stat_of(child.pid)) and stat.state == "T", what="the process to stop")
    assert await why_dead(holder) == ""


async def test_a_zombie_is_dead(child: subprocess.Popen[bytes]) -> None:
    holder = holder_of(child.pid)
    child.kill()
    eventually(lambda: (stat := stat_of(child.pid)) and stat.state == "Z", what="the process to end")
    assert await why_dead(holder) != ""


async def test_a_reused_pid_means_that_the_first_process_is_dead(
    child: subprocess.Popen[bytes],
) -> None:
    holder = holder_of(child.pid)
    assert holder.process is not None
    before = msgspec.structs.replace(holder.process, start_time=holder.process.start_time - 1)
    assert await why_dead(Holder("it", before)) != ""


async def test_a_process_hidden_from_proc_does_not_count_as_dead(tmp_path: Path) -> None:
    """As with hidepid; the kernel still says that something has the PID."""
    witness = Witness(Pods(), own_holder(), proc=tmp_path)
    assert await witness.why_dead(holder_of(os.getppid())) == ""


def test_a_process_has_another_identity_after_a_restart() -> None:
    one, other = own_holder(), own_holder()
    assert one.process == other.process
    assert one.process is not None
    assert one.process.pid == os.getpid()
    assert one.identity != other.identity


def test_the_identity_begins_with_the_name_of_the_pod() -> None:
    assert own_holder(POD).identity.startswith("operator-1_")


def test_a_proc_of_another_pid_namespace_gives_no_identity(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to(str(os.getpid() + 1))
    assert own_process(tmp_path) is None


def test_a_system_without_proc_gives_no_identity(tmp_path: Path) -> None:
    assert own_process(tmp_path) is None


@pytest.mark.parametrize("name", ["sleep", "a) S 1 (b", "new\nline", ") Z 1 1"])
def test_a_process_name_with_parentheses_is_parsed(name: str) -> None:
    line = f"42 ({name}) R 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 12345 100 200\n"
    assert read_stat(line) == Stat("R", 3, 12345)


async def test_the_pod_is_read_only_if_needed(child: subprocess.Popen[bytes]) -> None:
    holder, pods = holder_of(child.pid), Pods()
    child.kill()
    child.wait()
    assert await why_dead(holder, pods) != ""
    assert pods.asked == 0


async def test_the_kubelets_report_is_read() -> None:
    ended = {"terminated": {"exitCode": 137, "message": termination_line("it")}}
    status = {"containerStatuses": [{"name": "operator", "state": ended}]}
    pods = Pods({"metadata": {"name": "operator-1", "uid": "u1"}, "status": status})
    assert "has terminated" in await why_dead(Holder("it", None, POD), pods)


async def test_a_missing_pod_proves_nothing() -> None:
    assert await why_dead(Holder("it", None, POD), Pods(None)) == ""


async def test_a_missing_right_to_read_pods_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    witness = Witness(Pods(errors.Forbidden("may not get pods")), own_holder())
    for _ in range(3):
        assert await witness.why_dead(Holder("it", None, POD)) == ""
    assert len([r for r in caplog.records if "may not get pods" in r.getMessage()]) == 1


def test_the_identity_is_written_to_the_termination_message_of_a_container(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.touch()
    first, second = own_holder(POD), own_holder(POD)
    write_identity(first, path)
    write_identity(second, path)
    assert path.read_text().splitlines() == [termination_line(h.identity) for h in (first, second)]


def test_nothing_is_written_outside_a_pod_or_without_a_termination_message_file(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    write_identity(own_holder(POD), path)
    assert not path.exists()
    path.touch()
    write_identity(own_holder(), path)
    assert path.read_text() == ""


def test_a_termination_message_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_identity(own_holder(POD), tmp_path)  # a folder
    assert "a standby will wait" in caplog.text
