"""The status of an Environment: what its nodes have and what is free, its runs, and whether it is ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from nightcrawler_crds import names
from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import GpuAmountsView, LargestFreeNodeView
from nightcrawler_crds.planning.candidates import read_environment
from nightcrawler_crds.planning.fitting import is_selected, nodes_of
from nightcrawler_crds.planning.nodes import NodeRoom
from nightcrawler_crds.planning.resolved import declared_gpus
from nightcrawler_crds.v1alpha1 import MAX_GPU_MODELS, MAX_QUANTITIES, EnvironmentSpec, conditions
from nightcrawler_crds.validation import cordon, maintenance, own_template_problems
from nightcrawler_crds.words import Bytes, Cpu
from nightcrawler_crds.words.gpumodels import Declared
from nightcrawler_operator.decisions.status import condition, first_problem, merge_patch
from nightcrawler_operator.plan import Done, Outcome, Waiting
from nightcrawler_operator.snapshot import EnvironmentSnapshot

_PODS: Final = "pods"
_OWN_UNITS: Final = ("memory", "ephemeral-storage")
_PLAIN: Final = ("cpu", *_OWN_UNITS)
_MI: Final = 2**20
_UNKNOWN: Final = timedelta(seconds=10)
_SOME: Final = 1e-6
"""Less than any amount; sums of floats may lack that much of a whole number."""

Amounts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """The merge patch of the status, empty if nothing changes, and when to look again."""

    status: dict[str, Any]
    outcome: Outcome


def decide(snapshot: EnvironmentSnapshot) -> EnvironmentPlan:
    """The status that an Environment should have."""
    recorded = snapshot.environment.status
    observed = _Observed(snapshot)
    if isinstance(observed.spec, str):
        wanted = msgspec.structs.replace(recorded, conditions=_conditions(observed))
        return EnvironmentPlan(merge_patch(recorded, wanted), Done())
    wanted = msgspec.structs.replace(
        recorded,
        nodes=len(observed.nodes),
        ready_nodes=len(observed.ready),
        capacity=_written(observed.capacity),
        free=None if snapshot.free is None else _written(observed.free_in_all),
        largest_free_node=_largest(observed.free),
        gpus=_gpus(observed),
        running=snapshot.running,
        waiting=snapshot.waiting,
        conditions=_conditions(observed),
    )
    return EnvironmentPlan(merge_patch(recorded, wanted), _outcome(observed.spec, snapshot))


@dataclass(frozen=True)
class _Observed:
    """What follows from a snapshot; each value is worked out when it is first asked for."""

    snapshot: EnvironmentSnapshot

    @cached_property
    def spec(self) -> EnvironmentSpec | str:
        """The spec, or what is wrong with it."""
        try:
            return read_environment(self.snapshot.environment)
        except ValidationError as error:
            return first_problem(error)

    @cached_property
    def nodes(self) -> list[NodeRoom]:
        """All nodes of the Environment."""
        return [] if isinstance(self.spec, str) else nodes_of(self.spec, self.snapshot.nodes)

    @cached_property
    def ready(self) -> list[NodeRoom]:
        """Those that take Pods."""
        return [node for node in self.nodes if node.open]

    @cached_property
    def capacity(self) -> dict[str, float]:
        """What all nodes have, by resource."""
        return _added(({"cpu": 0.0, "memory": 0.0}, *(node.allocatable for node in self.nodes)))

    @cached_property
    def free(self) -> dict[str, Amounts]:
        """What is free on each ready node, by its name; nothing on one that takes no further Pod."""
        there: dict[str, Amounts] = {}
        for node in self.ready:
            left = (self.snapshot.free or {}).get(node.name)
            if left is not None:
                full = left.get(_PODS, 1.0) < 1.0
                there[node.name] = {name: 0.0 if full else max(0.0, left[name]) for name in left}
        return there

    @cached_property
    def free_in_all(self) -> dict[str, float]:
        """What is free on all nodes; 0 of what is used up, or is only on nodes that are not ready."""
        return {**dict.fromkeys(self.capacity, 0.0), **_added(self.free.values())}


def _added(parts: Iterable[Amounts]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0.0) + amount
    return total


# --- amounts -----------------------------------------------------------------------------------------


def _written(amounts: Amounts) -> dict[str, str]:
    """CPU, memory, disk space and devices as quantities, rounded down; no more than the schema takes."""
    kept = [name for name in amounts if name in _PLAIN or "/" in name]
    order = sorted(kept, key=lambda name: (name not in _PLAIN, name))
    return {name: _quantity(name, amounts[name]) for name in order[:MAX_QUANTITIES]}


def _quantity(resource: str, amount: float) -> str:
    if resource == "cpu":
        return Cpu(int(amount * 1000 + _SOME)).quantity
    if resource in _OWN_UNITS:
        # To whole Mi: finer amounts are hard to read, and change with every small Pod.
        return Bytes(int(amount) // _MI * _MI).quantity
    return str(_count(amount))


def _count(amount: float) -> int:
    return int(amount + _SOME)


def _largest(free: Mapping[str, Amounts]) -> LargestFreeNodeView | None:
    """The node with the most free CPU, then memory, then by name."""
    best = min(
        free,
        key=lambda name: (-free[name].get("cpu", 0.0), -free[name].get("memory", 0.0), name),
        default=None,
    )
    return None if best is None else LargestFreeNodeView(best, _written(free[best]))


def _gpus(observed: _Observed) -> tuple[GpuAmountsView, ...]:
    """The GPUs by model and resource, in the order of their names."""
    assert not isinstance(observed.spec, str)
    declared = declared_gpus(observed.spec)
    capacity: dict[tuple[str, str], int] = {}
    free: dict[tuple[str, str], list[int]] = {}
    for node in observed.nodes:
        for resource, amount in node.allocatable.items():
            if not _is_gpu(resource, declared) or not amount:
                continue
            key = (_model(node, resource, declared), resource)
            capacity[key] = capacity.get(key, 0) + _count(amount)
            left = observed.free.get(node.name, {}).get(resource, 0.0)
            free.setdefault(key, []).append(_count(left))
    known = observed.snapshot.free is not None
    return tuple(
        GpuAmountsView(
            resource=resource,
            model=model or None,
            capacity=capacity[model, resource],
            free=sum(free[model, resource]) if known else None,
            largest_free=max(free[model, resource]) if known else None,
        )
        for model, resource in sorted(capacity)[:MAX_GPU_MODELS]
    )


def _is_gpu(resource: str, declared: Sequence[Declared]) -> bool:
    return (
        resource == names.GPU_RESOURCE
        or resource.startswith(names.MIG_RESOURCE_PREFIX)
        or any(one.resource == resource for one in declared)
    )


def _model(node: NodeRoom, resource: str, declared: Sequence[Declared]) -> str:
    """The model of a node's GPUs: as the Environment declares it, else by its label; empty if unknown."""
    for one in declared:
        identified = one.node_selector or one.resource != names.GPU_RESOURCE
        if one.resource == resource and identified and is_selected(node, one.node_selector):
            return one.model
    if resource.startswith(names.MIG_RESOURCE_PREFIX):
        whole = node.labels.get(names.GPU_PRODUCT_LABEL, "")
        return f"{whole} MIG {resource.removeprefix(names.MIG_RESOURCE_PREFIX)}".strip()
    return node.labels.get(names.GPU_PRODUCT_LABEL, "") if resource == names.GPU_RESOURCE else ""


# --- the condition Ready -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ready:
    status: str
    reason: str
    message: str


def _invalid_spec(observed: _Observed) -> _Ready | None:
    if isinstance(observed.spec, str):
        return _Ready("False", conditions.INVALID_ENVIRONMENT, f"nothing can run here: {observed.spec}")
    return None


def _invalid_template(observed: _Observed) -> _Ready | None:
    assert not isinstance(observed.spec, str)
    problems = own_template_problems(observed.snapshot.environment.metadata.name, observed.spec)
    if problems:
        return _Ready("False", conditions.INVALID_ENVIRONMENT, f"nothing can run here: {problems[0].message}")
    return None


def _closed(observed: _Observed) -> _Ready | None:
    assert not isinstance(observed.spec, str)
    closed = cordon(observed.spec, observed.snapshot.now)
    if closed is None:
        return None
    reason = conditions.UNDER_MAINTENANCE if closed.until else conditions.ENVIRONMENT_CORDONED
    return _Ready("False", reason, f"no step is started here: {closed.why}")


def _no_node(observed: _Observed) -> _Ready | None:
    assert not isinstance(observed.spec, str)
    if observed.ready:
        return None
    what = "no node has its labels, or taints that it tolerates"
    if observed.nodes:
        which = "its only node" if len(observed.nodes) == 1 else f"each of its {len(observed.nodes)} nodes"
        what = f"{which} is cordoned or not ready"
    if observed.spec.nodes == "Fixed":
        return _Ready("False", conditions.NO_READY_NODE, what)
    return _Ready("Unknown", conditions.NO_READY_NODE, f"{what}; an autoscaler may add one")


def _open(observed: _Observed) -> _Ready:
    there, ready = len(observed.nodes), len(observed.ready)
    which = _nodes(there) if ready == there else f"{ready} of {_nodes(there)}"
    return _Ready("True", conditions.NODES_READY, f"steps can start here: {which} ready")


_RULES: Final[Sequence[Callable[[_Observed], _Ready | None]]] = (
    # What an administrator has to mend comes first: no other rule can be looked at without a valid spec.
    _invalid_spec,
    _invalid_template,
    # Then what somebody wants so; a cordoned pool may well have no nodes.
    _closed,
    _no_node,
)


def _conditions(observed: _Observed) -> tuple[Condition, ...]:
    environment, now = observed.snapshot.environment, observed.snapshot.now
    found = (ready for rule in _RULES if (ready := rule(observed)))
    ready = next(found, None) or _open(observed)
    message = ready.message
    if observed.snapshot.free is None and observed.snapshot.unknown:
        message = f"{message}; what is free is not known: {observed.snapshot.unknown}"
    recorded, generation = environment.status.conditions, environment.metadata.generation
    others = [one for one in recorded if one.type != conditions.READY]
    return (
        *others,
        condition(conditions.READY, ready.status, ready.reason, message, recorded, now, generation),
    )


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _outcome(spec: EnvironmentSpec, snapshot: EnvironmentSnapshot) -> Outcome:
    """Look again when a maintenance begins or ends; soon while it is not known what is free."""
    edges = [moment for start, end, _ in maintenance(spec) for moment in (start, end)]
    if snapshot.free is None:
        edges.append(snapshot.now + _UNKNOWN)
    upcoming = min((edge for edge in edges if edge > snapshot.now), default=None)
    return Done() if upcoming is None else Waiting(upcoming)
