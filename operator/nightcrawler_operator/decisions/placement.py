"""Where an execution runs: the Environment it names, else the workflow's first, else the default one.

A workflow with an empty list of environments (every box of the form unticked) runs only where an execution
says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, WorkflowSpec, conditions
from nightcrawler_crds.validation import (
    NONE_CHOSEN,
    default_environment,
    find_environment,
    is_called,
    unknown_environment,
)


@dataclass(frozen=True, slots=True)
class Place:
    """The chosen Environment: `name` is its metadata.name, or None for this cluster as it is.

    With `any_name` it was chosen because no Environment has the name that was asked for.
    """

    name: str | None
    spec: EnvironmentSpec
    reason: str
    message: str
    any_name: bool = False


def place(
    wanted: str | None, workflow: WorkflowSpec, environments: Collection[EnvironmentView]
) -> Place | tuple[str, str]:
    """The place to run, or the reason and message why there is none."""
    if not wanted and workflow.environments == []:
        message = f"{NONE_CHOSEN}; name one for the run, or give the workflow one"
        return conditions.NO_ENVIRONMENT, message
    asked = wanted or next(iter(workflow.environments or ()), None)
    if not environments:
        # Without Environments any name is taken: an installation may do without them.
        return Place(
            asked,
            EnvironmentSpec(),
            conditions.THIS_CLUSTER,
            "there are no Environments: it runs in this cluster",
        )
    if asked is None:
        default = default_environment(environments)
        if default is None:
            message = (
                "no environment is asked for and no Environment is the default; name one, or make one default"
            )
            return conditions.NO_ENVIRONMENT, message
        return _place(default, "the default Environment")
    found = find_environment(asked, environments)
    if found is None:
        return conditions.UNKNOWN_ENVIRONMENT, unknown_environment(asked, environments)
    if not is_called(found, asked):
        why = f"the default Environment, which takes any name: no Environment is called {asked!r}"
        return replace(_place(found, why), any_name=True)
    source = "asked for by the execution" if wanted else "the workflow's first"
    return _place(found, source if asked == found.metadata.name else f"{source}, as {asked!r}")


def depends_on_absence(chosen: Place | tuple[str, str]) -> bool:
    """Whether the choice depends on an Environment being absent, so that a stale cache would matter.

    A run that names none and finds none runs in this cluster at once: most installations have none, and only
    the very first one could be missed.
    """
    if not isinstance(chosen, Place):
        return True
    return chosen.any_name or (chosen.reason == conditions.THIS_CLUSTER and chosen.name is not None)


def recorded_place(name: str | None, environments: Collection[EnvironmentView]) -> EnvironmentSpec:
    """The current spec of the Environment that a run was placed in; an empty one if it is gone."""
    found = next((e for e in environments if e.metadata.name == name), None)
    return read_environment(found) if found else EnvironmentSpec()


def lost_place(
    name: str | None, recorded: Iterable[Condition], environments: Collection[EnvironmentView]
) -> str | None:
    """The name of the Environment that a run was placed in, if it is gone: no other may be used."""
    chosen = any(c.type == conditions.PLACED and c.reason == conditions.CHOSEN for c in recorded)
    gone = chosen and all(e.metadata.name != name for e in environments)
    return name if gone else None


def read_environment(environment: EnvironmentView) -> EnvironmentSpec:
    """The spec of an Environment; fields of other versions are ignored."""
    return EnvironmentSpec.model_validate(environment.spec, extra="ignore")


def _place(environment: EnvironmentView, why: str) -> Place:
    name = environment.metadata.name
    return Place(name, read_environment(environment), conditions.CHOSEN, f"runs in {name}: {why}")
