"""Compares every run with the result that its kind must have; holds only runs that are not settled yet.

The tracker takes the events of a watch, in order, with the time of each. A run is settled some time after
its end, when anything wrong with it has been observed; after that only a count remains. It has no clock of
its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.bench.soak.kinds import Kind

SETTLED_AFTER: Final = 20.0
"""Seconds from a run's end until it is judged: by then any superfluous Pod has been observed."""
_MOST_EXAMPLES: Final = 50
_ENDED: Final = ("Succeeded", "Failed")
_TERMINAL: Final = ("Completed", "Failed", "Cancelled")


class PodSeen(NamedTuple):
    """One state of a Pod, as a watch reported it."""

    uid: str
    run: str
    step: str
    attempt: str
    phase: str
    is_deleted: bool


@dataclass(slots=True)
class _Pod:
    step: str
    attempt: str
    has_run: bool = False
    phase: str = "Pending"
    is_disrupted: bool = False
    is_gone: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_gone or self.phase in _ENDED

    @property
    def may_be_repeated(self) -> bool:
        """Whether another Pod of the same attempt is right: this one never started, or was disrupted."""
        return self.is_over and (not self.has_run or self.is_disrupted)


@dataclass(slots=True)
class _Run:
    kind: Kind
    asked: float
    accepted: float | None = None
    first_pod: float | None = None
    phase: str = ""
    ended: float | None = None
    pods: dict[str, _Pod] = field(default_factory=dict)
    succeeded: dict[str, float] = field(default_factory=dict)


class Window(NamedTuple):
    """Waits in seconds since the window before: from request to first Pod, and from step to step."""

    starts: list[float]
    handovers: list[float]


class RunTracker:
    """Every run from its submission until it is settled, and counts of those before.

    Attributes:
        wrong: How many violations there were, by kind.
        examples: Sentences on the first of them.
        settled: Runs that were judged, by kind.
    """

    def __init__(self) -> None:
        self.wrong: Counter[str] = Counter()
        self.examples: list[str] = []
        self.settled: Counter[str] = Counter()
        self.submitted = 0
        self.pods_seen = 0
        self._runs: dict[str, _Run] = {}
        self._window = Window([], [])
        self._ended = asyncio.Event()

    def ask(self, name: str, kind: Kind, now: float) -> None:
        """A run is about to be submitted."""
        self.submitted += 1
        self._runs[name] = _Run(kind, now)

    def accept(self, name: str, now: float) -> None:
        """The API server has accepted it."""
        if (run := self._runs.get(name)) is not None:
            run.accepted = now

    def pod(self, seen: PodSeen, now: float) -> None:
        """A Pod is new or has changed."""
        run = self._runs.get(seen.run)
        if run is None:  # settled; its Pods change until they are cleaned up
            return
        known = run.pods.get(seen.uid)
        if known is None:
            known = self._new_pod(run, seen, now)
        if seen.is_deleted and not known.is_over:
            known.is_disrupted = True
        known.has_run = known.has_run or seen.phase != "Pending"
        known.phase = seen.phase
        if seen.phase == "Succeeded":
            run.succeeded.setdefault(seen.step, now)

    def first_sight(self, seen: PodSeen) -> None:
        """A Pod was created, whether or not its run is known."""
        self.pods_seen += 1
        if seen.run not in self._runs:
            self._note("late Pod", f"{seen.run}: a Pod of {seen.step} came long after the run's end")

    def pod_gone(self, seen: PodSeen) -> None:
        """A Pod has been deleted."""
        run = self._runs.get(seen.run)
        if run is not None and (pod := run.pods.get(seen.uid)) is not None:
            pod.is_disrupted = pod.is_disrupted or not pod.is_over
            pod.is_gone = True

    def phase(self, name: str, phase: str, now: float) -> None:
        """A run is in this phase."""
        run = self._runs.get(name)
        if run is None or not phase or phase == run.phase:
            return
        if run.phase in _TERMINAL:
            self._note("end revoked", f"{name}: {run.phase} became {phase}")
        run.phase = phase
        if phase in _TERMINAL and run.ended is None:
            run.ended = now
            self._ended.set()

    def run_gone(self, name: str, now: float) -> None:
        """A run has been deleted, which is right only once it has ended."""
        run = self._runs.get(name)
        if run is not None and run.ended is None:
            self._note("deleted while active", f"{name}: deleted in phase {run.phase or 'none'}")
            run.ended = now
            self._ended.set()

    def settle(self, now: float, after: float = SETTLED_AFTER) -> None:
        """Judge the runs that ended long enough ago, and drop them."""
        due = [name for name, run in self._runs.items() if run.ended is not None and now - run.ended >= after]
        for name in due:
            run = self._runs.pop(name)
            self.settled[run.kind.name] += 1
            self._judge(name, run)

    def record_lost(self) -> None:
        """Record the runs that have not ended as lost."""
        for name, run in self._runs.items():
            if run.ended is None:
                self._note("lost", f"{name}: {run.kind.name}, still in phase {run.phase or 'none'}")

    def kind_of(self, name: str) -> Kind | None:
        """The kind of a run that is not settled."""
        run = self._runs.get(name)
        return None if run is None else run.kind

    def pods_of(self, name: str, step: str) -> int:
        """How many Pods of a step of such a run were observed."""
        run = self._runs.get(name)
        return 0 if run is None else sum(pod.step == step for pod in run.pods.values())

    @property
    def unsettled(self) -> int:
        """Runs that are not judged yet."""
        return len(self._runs)

    @property
    def alive(self) -> int:
        """Runs that have not ended."""
        return sum(run.ended is None for run in self._runs.values())

    async def all_ended(self) -> None:
        """Wait until no run is active."""
        while self.alive:
            self._ended.clear()
            await self._ended.wait()

    def lag(self, now: float) -> float:
        """The age in seconds of the oldest accepted run that has no Pod yet; 0 if there is none."""
        waiting = (
            run.accepted
            for run in self._runs.values()
            if run.accepted is not None and run.first_pod is None and run.ended is None
        )
        return max(0.0, now - min(waiting, default=now))

    def take_window(self) -> Window:
        """The waits since the last call."""
        taken, self._window = self._window, Window([], [])
        return taken

    def _new_pod(self, run: _Run, seen: PodSeen, now: float) -> _Pod:
        for other in run.pods.values():
            if other.step != seen.step:
                continue
            if not other.is_over:
                self._note("two at once", f"{seen.run}: {seen.step} had a Pod that was still running")
            elif other.attempt == seen.attempt and not other.may_be_repeated:
                self._note("ran twice", f"{seen.run}: attempt {seen.attempt} of {seen.step} had a Pod before")
        before = next(step.after for step in run.kind.shape.steps if step.name == seen.step)
        if missing := [step for step in before if step not in run.succeeded]:
            self._note("too early", f"{seen.run}: {seen.step} began before {missing[0]} had succeeded")
        is_first = all(pod.step != seen.step for pod in run.pods.values())
        if run.first_pod is None:
            run.first_pod = now
            self._window.starts.append(max(0.0, now - (now if run.accepted is None else run.accepted)))
        elif before and not missing and is_first:
            self._window.handovers.append(now - max(run.succeeded[step] for step in before))
        pod = run.pods[seen.uid] = _Pod(seen.step, seen.attempt)
        return pod

    def _judge(self, name: str, run: _Run) -> None:
        kind = run.kind
        if run.phase != kind.phase:
            self._note("wrong end", f"{name}: {kind.name} ended {run.phase}, not {kind.phase}")
        had = Counter(pod.step for pod in run.pods.values())
        for step in kind.shape.steps:
            wanted = kind.pods_of(step.name)
            if had[step.name] != wanted:
                self._note(
                    "wrong number of Pods",
                    f"{name}: {kind.name}'s {step.name} had {had[step.name]} Pods, not {wanted}",
                )
            if kind.phase == "Completed" and step.name not in run.succeeded:
                self._note("step not run", f"{name}: {step.name} of {kind.name} never succeeded")
        if any(not pod.is_over for pod in run.pods.values()):
            self._note("Pod left running", f"{name}: a Pod outlived the run")

    def _note(self, what: str, sentence: str) -> None:
        self.wrong[what] += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(f"{what}: {sentence}")
