"""Which Environment a name means, and what its nodes exclude."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, MaintenanceWindow, Step, conditions
from nightcrawler_crds.validation.podtemplate import ALL_POWERS, selector_problems, template_problems
from nightcrawler_crds.validation.problems import Problem

NONE_CHOSEN: Final = "no environment is asked for, and its list of environments is empty"
"""Why a workflow with an empty list does not run; an unset list means the default Environment."""


def find_environment(wanted: str, environments: Collection[EnvironmentView]) -> EnvironmentView | None:
    """An Environment by metadata.name, else by alias, the oldest first; None if there is none.

    Else it is the default one, if that accepts any name (`acceptAnyName`).
    """
    for environment in environments:
        if environment.metadata.name == wanted:
            return environment
    named = oldest(e for e in environments if wanted in (e.spec.get("aliases") or ()))
    return named or _for_any_name(environments)


def is_called(environment: EnvironmentView, name: str) -> bool:
    """Whether a name is the Environment's own: its metadata.name or an alias."""
    return name == environment.metadata.name or name in (environment.spec.get("aliases") or ())


def default_environment(environments: Iterable[EnvironmentView]) -> EnvironmentView | None:
    """The Environment of runs that name none."""
    return oldest(e for e in environments if e.spec.get("default"))


def _for_any_name(environments: Iterable[EnvironmentView]) -> EnvironmentView | None:
    default = default_environment(environments)
    return default if default is not None and default.spec.get("acceptAnyName") else None


def oldest(environments: Iterable[EnvironmentView]) -> EnvironmentView | None:
    """The Environment that was created first; by name where two were created in the same second."""
    return min(
        environments, key=lambda e: (str(e.metadata.creation_timestamp), e.metadata.name), default=None
    )


def unknown_environment(wanted: str, environments: Collection[EnvironmentView]) -> str:
    """The sentence for a name that no Environment has."""
    known = sorted(
        {e.metadata.name for e in environments}
        | {a for e in environments for a in e.spec.get("aliases") or ()}
    )
    return f"there is no environment {wanted!r}; there are: {', '.join(known)}"


@dataclass(frozen=True, slots=True)
class Cordon:
    """Why no step is started in an Environment, as a part of a sentence, and until when, if that is known."""

    why: str
    until: datetime | None = None


def cordon(spec: EnvironmentSpec, now: datetime) -> Cordon | None:
    """Whether an Environment is cordoned; None if it is open."""
    if spec.state == "Cordoned":
        return Cordon("it is cordoned")
    for start, end, window in maintenance(spec):
        if start <= now < end:
            what = f" ({window.description})" if window.description else ""
            return Cordon(f"it is under maintenance until {window.end}{what}", end)
    return None


def maintenance(spec: EnvironmentSpec) -> list[tuple[datetime, datetime, MaintenanceWindow]]:
    """The maintenance windows with their start and end."""
    # The API server takes the T and the Z of a time in either case.
    return [
        (datetime.fromisoformat(one.start.upper()), datetime.fromisoformat(one.end.upper()), one)
        for one in spec.maintenance or ()
    ]


def own_template_problems(environment: str | None, spec: EnvironmentSpec) -> list[Problem]:
    """What is wrong with an Environment's podTemplate. An administrator may use every power in it."""
    return [
        Problem("", conditions.INVALID_POD_TEMPLATE, f"the environment {environment!r} has a bad {message}")
        for _, message in template_problems(spec.pod_template or {}, ALL_POWERS)
    ]


def environment_problems(
    steps: Iterable[Step], environment: str | None, node_selector: Mapping[str, str]
) -> list[Problem]:
    """Node selectors that contradict the Environment's, in the steps of a workflow without other problems."""
    return [
        Problem(
            f"/steps/{index}/podTemplate{where}",
            conditions.INVALID_POD_TEMPLATE,
            f"step {step.name!r}: {message}",
        )
        for index, step in enumerate(steps)
        for where, message in selector_problems(step.pod_template or {}, environment, node_selector)
    ]
