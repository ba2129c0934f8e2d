"""The graph of a workflow's steps: names, dependencies, cycles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from nightcrawler_crds.v1alpha1 import Step, WorkflowSpec, conditions
from nightcrawler_crds.validation.problems import Problem


def graph_problems(spec: WorkflowSpec) -> list[Problem]:
    """What keeps the steps from having an order; cycles are looked for in a graph that is whole."""
    steps = spec.steps or []
    problems = [*_duplicates(steps), *_unknown(steps)]
    if spec.order == "Sequence":
        return [*problems, *_dependencies_in_sequence(steps)]
    return problems or list(_cycle(steps))


def _duplicates(steps: Sequence[Step]) -> Iterable[Problem]:
    seen: set[str] = set()
    for index, step in enumerate(steps):
        if step.name in seen:
            message = f"two steps are named {step.name!r}; names must differ"
            yield Problem(f"/steps/{index}/name", conditions.INVALID_SPEC, message)
        seen.add(step.name)


def _unknown(steps: Sequence[Step]) -> Iterable[Problem]:
    known = {step.name for step in steps}
    for index, step in enumerate(steps):
        for position, dependency in enumerate(step.depends_on or ()):
            if dependency not in known:
                yield Problem(
                    f"/steps/{index}/dependsOn/{position}",
                    conditions.UNKNOWN_DEPENDENCY,
                    f"step {step.name!r} depends on {dependency!r}, and there is no such step",
                )


def _dependencies_in_sequence(steps: Sequence[Step]) -> Iterable[Problem]:
    for index, step in enumerate(steps):
        if step.depends_on:
            message = f"step {step.name!r} has dependsOn, but order is Sequence; set order: Graph"
            yield Problem(f"/steps/{index}/dependsOn", conditions.INVALID_SPEC, message)


def _cycle(steps: Sequence[Step]) -> Iterable[Problem]:
    """One cycle, if there is any: from its first step in the list, along `dependsOn`, back to that step."""
    graph = TopologicalSorter({step.name: step.depends_on or () for step in steps})
    try:
        graph.prepare()
    except CycleError as error:
        # graphlib's path leads from a dependency to its dependant, and ends where it begins.
        path: list[str] = error.args[1][:0:-1]
        position = {step.name: index for index, step in enumerate(steps)}
        first = path.index(min(path, key=position.__getitem__))
        cycle = [*path[first:], *path[: first + 1]]
        yield Problem(
            f"/steps/{position[cycle[0]]}/dependsOn",
            conditions.DEPENDENCY_CYCLE,
            f"steps wait for each other: {' → '.join(cycle)}; remove one of these from dependsOn",
        )
