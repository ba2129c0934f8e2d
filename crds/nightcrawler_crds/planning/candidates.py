"""Where a run may go: the Environments that come into question, in their order.

An explicit Environment alone; else those that the workflow lists; else all of them if it has a strategy, or
the default one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, WorkflowSpec, conditions
from nightcrawler_crds.validation import (
    NONE_CHOSEN,
    Cordon,
    cordon,
    default_environment,
    find_environment,
    is_called,
    unknown_environment,
)


@dataclass(frozen=True, slots=True)
class NoPlace:
    """There is no Environment to run in."""

    reason: str
    message: str


@dataclass(frozen=True)
class Candidate:
    """An Environment in which the run may go; `source` says how it came to be one.

    With `any_name` it is one because no Environment has the name that was asked for.
    """

    name: str
    view: EnvironmentView
    source: str
    any_name: bool = False

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """Its spec."""
        return read_environment(self.view)

    def cordon(self, now: datetime) -> Cordon | None:
        """Why nothing is started there now; None if it is open."""
        return cordon(self.spec, now)


def candidates(
    wanted: str | None, workflow: WorkflowSpec, environments: Collection[EnvironmentView]
) -> tuple[Candidate, ...] | NoPlace:
    """The Environments that come into question, in the order as written; at least one. There are some."""
    if wanted:
        return _named([wanted], "asked for by the execution", environments)
    if workflow.environments == []:
        message = f"{NONE_CHOSEN}; name one for the run, or give the workflow one"
        return NoPlace(conditions.NO_ENVIRONMENT, message)
    if workflow.environments:
        names = workflow.environments
        if workflow.environment_strategy is not None:
            # A strategy chooses among those that there are.
            names = [name for name in names if find_environment(name, environments)] or names
        return _named(names, "the workflow's {ordinal}", environments)
    if workflow.environment_strategy is not None:
        every = sorted(environments, key=lambda e: e.metadata.name)
        return tuple(Candidate(e.metadata.name, e, "the only Environment") for e in every)
    default = default_environment(environments)
    if default is None:
        message = (
            "no environment is asked for and no Environment is the default; name one, or make one default"
        )
        return NoPlace(conditions.NO_ENVIRONMENT, message)
    return (Candidate(default.metadata.name, default, "the default Environment"),)


def _named(
    names: list[str], source: str, environments: Collection[EnvironmentView]
) -> tuple[Candidate, ...] | NoPlace:
    """Those of these names; one that is unknown ends the search, unless others come before it."""
    found: dict[str, Candidate] = {}
    for position, name in enumerate(names):
        view = find_environment(name, environments)
        if view is None:
            if not found:
                return NoPlace(conditions.UNKNOWN_ENVIRONMENT, unknown_environment(name, environments))
            continue
        there, any_name = view.metadata.name, False
        why = source.format(ordinal="first" if position == 0 else f"number {position + 1}")
        if not is_called(view, name):
            why = f"the default Environment, which takes any name: no Environment is called {name!r}"
            any_name = True
        elif name != there:
            why = f"{why}, as {name!r}"
        found.setdefault(there, Candidate(there, view, why, any_name))
    return tuple(found.values())


def read_environment(environment: EnvironmentView) -> EnvironmentSpec:
    """The spec of an Environment; fields of other versions are ignored."""
    return EnvironmentSpec.model_validate(environment.spec, extra="ignore")
