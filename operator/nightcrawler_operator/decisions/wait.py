"""How long a run would wait in an Environment until its first steps start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Final

from nightcrawler_crds.planning.fitting import allowed_nodes
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.planning.onenode import common_nodes
from nightcrawler_crds.planning.resolved import requests, resolve
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.together import is_on_one_node, moments
from nightcrawler_crds.planning.wait import nth_end, until_room
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import LiveRun, Outlook

_MOST_COPIES: Final = 100


def expected_wait(
    place: str,
    spec: EnvironmentSpec,
    revision: Revision,
    outlook: Outlook,
    nodes: Nodes,
    limits: Limits,
    duration: float,
    now: datetime,
) -> float:
    """Seconds until the first steps start: none if there is room now, also for those that wait before it.

    Else until as many runs have ended there as wait before it, and one more; under a limit of the
    Environment, until it has its turn. `duration` is that of this run; it stands for the runs of workflows
    whose usual time is not known.
    """
    running, ahead = outlook.running.get(place, ()), outlook.waiting.get(place, 0)
    if spec.max_running is not None and len(running) + ahead >= spec.max_running:
        left = _time_left(place, running, duration, now)
        # Those of the others that have their places, and have not started yet.
        left += [duration] * (spec.max_running - len(left))
        return nth_end(left, len(running) + ahead - spec.max_running, duration)
    if outlook.free is not None and _has_room(spec, revision, outlook.free, nodes, limits, ahead + 1):
        return 0.0
    left = _time_left(place, running, duration, now)
    return until_room(left, ahead, duration, spec, limits.queue_timeout)


def _time_left(place: str, running: Sequence[LiveRun], duration: float, now: datetime) -> list[float]:
    """How many seconds each run will take yet."""
    return [max(0.0, _usual(run, place, duration) - (now - run.started).total_seconds()) for run in running]


def _usual(run: LiveRun, place: str, otherwise: float) -> float:
    there = run.usual.get(place) or tuple(s for runs in run.usual.values() for s in runs)
    return median(there) if there else otherwise


def _has_room(
    spec: EnvironmentSpec,
    revision: Revision,
    free: Mapping[str, Mapping[str, float]],
    nodes: Nodes,
    limits: Limits,
    copies: int,
) -> bool:
    """Whether the first steps of so many runs fit beside what is there, each on the first node with room.

    Those that wait before it are taken to ask for as much as this one.
    """
    if copies > _MOST_COPIES:
        return False
    left = {name: dict(amounts) for name, amounts in free.items()}
    for asked, rooms in _first_steps(spec, revision, nodes, limits):
        there = [left[room.name] for room in rooms if room.name in left]
        for _ in range(copies):
            node = next((n for n in there if all(v <= n.get(r, 0.0) for r, v in asked.items())), None)
            if node is None:
                return False
            for resource, amount in asked.items():
                node[resource] -= amount
    return True


def _first_steps(
    spec: EnvironmentSpec, revision: Revision, nodes: Nodes, limits: Limits
) -> Iterator[tuple[Mapping[str, float], Sequence[NodeRoom]]]:
    """What the first steps ask for, each with the nodes that it may use; together if they share a node."""
    if is_on_one_node(revision.spec, spec, limits):
        first = next(iter(moments(revision, spec, limits, nodes.gpu_products)))
        yield {**first.asked, "pods": float(len(first.steps))}, common_nodes(revision, spec, nodes, limits)
        return
    for name, step in revision.steps.items():
        if not revision.depends[name]:
            resolved = resolve(step, revision, spec, limits)
            asked = {**requests(resolved, nodes.gpu_products), "pods": 1.0}
            yield asked, allowed_nodes(resolved, nodes)
