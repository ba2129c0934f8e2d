"""The cluster's processes, with real ones: found again, ended, never mistaken for others."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcluster import ClusterError, ports, processes, state, watchdog
from localcluster.processes import Started
from localcluster.state import State
from localcluster.supervisor import PortTakenError, Supervisor

SLEEP = ["/bin/sleep", "600"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come true within 20 s"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.stop(processes.belonging_to(tmp_path), patience=0)


def spawn(folder: Path, *argv: str) -> Started:
    return processes.spawn(argv or SLEEP, log=folder / "log", cluster=folder)


def script(folder: Path, text: str) -> Started:
    return spawn(folder, "/bin/sh", "-c", text)


def supervisor(folder: Path) -> Supervisor:
    return Supervisor(State(folder=str(folder), programs="", host="", ports={}, tokens={}))


def test_a_process_ends_when_asked(folder: Path) -> None:
    process = spawn(folder)
    assert processes.is_alive(process)
    processes.stop([process], patience=10)
    assert not processes.is_alive(process)


def test_a_process_that_does_not_listen_is_killed(folder: Path) -> None:
    process = script(folder, "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in (folder / "log").read_text())
    processes.stop([process], patience=0.2)
    assert not processes.is_alive(process)


def test_another_process_with_the_same_id_is_not_touched(folder: Path) -> None:
    process = spawn(folder)
    earlier = Started(process.pid, process.ticks - 1)
    assert not processes.is_alive(earlier)
    processes.stop([earlier], patience=0, first=signal.SIGKILL)
    assert processes.is_alive(process)


def test_a_process_and_its_children_are_found_by_their_variable(folder: Path) -> None:
    parent = script(folder, "sleep 600 & wait")
    until(lambda: len(processes.belonging_to(folder)) == 2)
    assert parent in processes.belonging_to(folder)
    assert processes.belonging_to(folder / "other") == []


def test_a_process_has_a_session_and_an_environment_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    process = script(folder, "env; sleep 600")
    until(lambda: "PATH=" in (folder / "log").read_text())
    assert "HTTPS_PROXY" not in (folder / "log").read_text()
    assert os.getsid(process.pid) == process.pid


def test_a_process_inherits_no_open_files(folder: Path) -> None:
    # Such as the lock of `flock file make demo`, which would else be held for as long as the demo runs.
    held = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(held, True)
    try:
        process = processes.spawn(SLEEP, log=folder / "log", cluster=folder, stdin=held)
    finally:
        os.close(held)
    # Its loader opens and closes libraries first; what is kept open stays so.
    until(lambda: opened_by(process.pid) == {"0": "lock", "1": "log", "2": "log"})


def opened_by(pid: int) -> dict[str, str]:
    """What a process has open, by number; nothing if that changes while it is looked at."""
    try:
        return {fd.name: fd.readlink().name for fd in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:
        return {}


def test_picked_ports_differ_and_are_free() -> None:
    names = [str(number) for number in range(50)]
    picked = ports.pick(names)
    assert len(set(picked.values())) == len(names)
    for port in picked.values():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_a_taken_port_is_not_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    free, taken = ports.pick(["free", "taken"]).values()
    monkeypatch.setattr("random.sample", lambda *_: [taken, free])
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", taken))
        assert ports.pick(["one"]) == {"one": free}


def test_waiting_for_a_program_that_ended_shows_its_last_lines(folder: Path) -> None:
    programs = supervisor(folder)
    programs.start("etcd", ["/bin/sh", "-c", "echo the disk is full; exit 1"])
    with pytest.raises(ClusterError, match=r"(?s)etcd ended.*the disk is full.*make cluster-down"):
        programs.wait(lambda: False, "it answered", 20, ("etcd",))


def test_a_taken_port_is_distinguished_from_other_failures(folder: Path) -> None:
    programs = supervisor(folder)
    programs.start("etcd", ["/bin/sh", "-c", "echo listen tcp: bind: address already in use; exit 1"])
    with pytest.raises(PortTakenError):
        programs.wait(lambda: False, "it answered", 20, ("etcd",))


def test_a_wait_that_times_out_names_what_it_waited_for(folder: Path) -> None:
    programs = supervisor(folder)
    programs.start("etcd", SLEEP)
    with pytest.raises(ClusterError, match="in vain until the moon was full"):
        programs.wait(lambda: False, "the moon was full", 0.1, ("etcd",))


def test_a_program_starts_again_as_it_was_started(folder: Path) -> None:
    programs = supervisor(folder)
    programs.start("etcd", SLEEP)
    first = programs.pid("etcd")
    programs.start_again("etcd")
    assert programs.pid("etcd") == first, "it still ran, and was left alone"
    programs.end("etcd", kill=True)
    programs.start_again("etcd")
    assert programs.is_alive("etcd")
    assert programs.pid("etcd") != first


def test_an_unknown_program_is_refused_with_those_that_there_are(folder: Path) -> None:
    programs = supervisor(folder)
    programs.start("etcd", SLEEP)
    with pytest.raises(ClusterError, match="no program 'etdc'; it has: etcd"):
        programs.end("etdc")


def test_saved_state_is_loaded_again(folder: Path) -> None:
    programs = supervisor(folder)
    programs.start("etcd", SLEEP)
    assert state.load(folder) == programs.state
    assert (folder / "state.json").stat().st_mode & 0o077 == 0, "it holds tokens"


def test_a_broken_state_file_is_named_and_kept(folder: Path) -> None:
    (folder / "state.json").write_text("{")
    with pytest.raises(ClusterError, match=r"state\.json cannot be read"):
        state.load(folder)


def test_the_watchdog_ends_the_processes_of_a_user_that_was_killed(folder: Path) -> None:
    hack = Path(watchdog.__file__).parent.parent
    code = (
        "import sys, time; from pathlib import Path; from localcluster import processes, watchdog\n"
        "folder = Path(sys.argv[1]); leash = watchdog.start(folder)\n"
        f"processes.spawn({SLEEP}, log=folder / 'log', cluster=folder); time.sleep(600)"
    )
    variables = {**os.environ, "PYTHONPATH": str(hack)}
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], env=variables) as user:
        until(lambda: len(processes.belonging_to(folder)) == 1)
        user.kill()
    until(lambda: not processes.belonging_to(folder))


def test_a_dismissed_watchdog_is_gone_at_once_and_tears_nothing_down(folder: Path) -> None:
    (folder / "kubeconfigs").mkdir()
    dismissed = watchdog.start(folder)
    dismissed.dismiss()
    assert not processes.is_alive(dismissed.process), "it could still tear down the folder's next cluster"
    assert (folder / "kubeconfigs").is_dir()
