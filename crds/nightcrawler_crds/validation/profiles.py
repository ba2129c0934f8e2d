"""Compute profiles: which one a step uses, what it sets, and what is wrong with it.

The levels, weakest first: profile < workflow < step. A step's own profile replaces the workflow's as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from nightcrawler_crds import words
from nightcrawler_crds.kube.views import ProfileView
from nightcrawler_crds.v1alpha1 import (
    ComputeProfileSpec,
    Resources,
    Step,
    StepResources,
    Storage,
    WorkflowSpec,
    conditions,
)
from nightcrawler_crds.validation.problems import Problem
from nightcrawler_crds.validation.secrets import profile_secrets

Profiles = Mapping[str, ComputeProfileSpec]
"""The profiles that a workflow uses, by the names that it uses for them."""

NO_PROFILES: Final[Profiles] = MappingProxyType({})
_OF_ALL: Final = "/config/computeProfile"


def profile_name(step: Step, spec: WorkflowSpec) -> str | None:
    """The name of the step's profile as it is written: its own, else the workflow's; None for none."""
    written = step.compute_profile
    if written is None:
        written = spec.config.compute_profile if spec.config else None
    return None if written is None or written.lower() == "none" else written


def find_profile(name: str, profiles: Iterable[ProfileView]) -> ProfileView | None:
    """A profile by metadata.name, else by displayName, the oldest first; None if there is none."""
    known = list(profiles)
    by_name = (profile for profile in known if profile.metadata.name == name)
    shown = [profile for profile in known if profile.spec.get("displayName") == name]
    oldest = min(shown, key=lambda p: (str(p.metadata.creation_timestamp), p.metadata.name), default=None)
    return next(by_name, oldest)


def unknown_profile(name: str, profiles: Iterable[ProfileView]) -> str:
    """The sentence for a name that no profile has."""
    known = sorted(str(p.spec.get("displayName") or p.metadata.name) for p in profiles)
    there = f"there are: {', '.join(known)}" if known else "there are none; apply one, or leave it out"
    return f"there is no compute profile {name!r}; {there}"


def used_profiles(spec: WorkflowSpec, profiles: Collection[ProfileView]) -> Profiles:
    """The profiles that a workflow uses; those that are unknown or cannot be read are left out."""
    used: dict[str, ComputeProfileSpec] = {}
    for name, _, _ in _uses(spec):
        found = find_profile(name, profiles)
        if name not in used and found is not None:
            try:
                used[name] = _read(found)
            except ValidationError:
                continue
    return used


def profile_problems(spec: WorkflowSpec, profiles: Collection[ProfileView]) -> list[Problem]:
    """Profiles that are unknown or cannot be used, in a workflow without other problems.

    Each name is reported once, where it is written first.
    """
    found: dict[str, Problem] = {}
    for name, pointer, about in _uses(spec):
        if name in found:
            continue
        profile = find_profile(name, profiles)
        if profile is None:
            sentence = about + unknown_profile(name, profiles)
            found[name] = Problem(pointer, conditions.UNKNOWN_PROFILE, sentence)
            continue
        try:
            read = _read(profile)
        except ValidationError as error:
            sentence = f"{about}the compute profile {name!r} cannot be used: {_first(error)}"
            found[name] = Problem(pointer, conditions.INVALID_PROFILE, sentence)
        else:
            if (secret := profile_secrets(spec, read.env or (), name)) is not None:
                found[name] = Problem(pointer, conditions.LITERAL_SECRET, about + secret)
    if found:
        return list(found.values())
    return list(_cpu_limits(spec, used_profiles(spec, profiles)))


def profile_selector_problems(
    spec: WorkflowSpec, profiles: Profiles, environment: str | None, node_selector: Mapping[str, str]
) -> list[Problem]:
    """Node selectors of profiles that contradict the Environment's."""
    found: dict[str, Problem] = {}
    for name, pointer, about in _uses(spec):
        profile = profiles.get(name)
        for label, value in ((profile and profile.node_selector) or {}).items():
            there = node_selector.get(label, value)
            if there != value and name not in found:
                sentence = (
                    f"{about}the compute profile {name!r} asks for nodes whose label {label} is {value!r}, "
                    f"and those of the environment {environment!r} have {there!r}; use another profile, "
                    "or run in another environment"
                )
                found[name] = Problem(pointer, conditions.INVALID_PROFILE, sentence)
    return list(found.values())


def effective_resources(step: Step, spec: WorkflowSpec, profile: ComputeProfileSpec | None) -> StepResources:
    """Field by field the step's words, else those of `config`, else the profile's, as they are written."""
    config = spec.config
    of_all = (config and config.resources) or Resources()
    storage = (config and config.storage) or Storage()
    own = step.resources or StepResources()
    preset = (profile and profile.resources) or StepResources()
    return StepResources(
        cpu=first_word(own.cpu, of_all.cpu, preset.cpu),
        cpu_limit=first_word(own.cpu_limit, of_all.cpu_limit, preset.cpu_limit),
        memory=first_word(own.memory, of_all.memory, preset.memory),
        gpu=first_word(own.gpu, of_all.gpu, preset.gpu),
        ephemeral_storage=first_word(
            own.ephemeral_storage, storage.ephemeral_storage, preset.ephemeral_storage
        ),
    )


def first_word(*levels: words.Word | None) -> words.Word | None:
    """The value of the strongest level that has one; strongest first."""
    return next((value for value in levels if value is not None), None)


def _uses(spec: WorkflowSpec) -> Iterator[tuple[str, str, str]]:
    """Each use of a profile by a step: its name, where it is written, how a sentence about it begins."""
    for index, step in enumerate(spec.steps or ()):
        name = profile_name(step, spec)
        if name is None:
            continue
        own = step.compute_profile is not None
        pointer = f"/steps/{index}/computeProfile" if own else _OF_ALL
        yield name, pointer, f"step {step.name!r}: " if own else ""
    of_all = spec.config.compute_profile if spec.config else None
    if of_all is not None and of_all.lower() != "none":
        yield of_all, _OF_ALL, ""  # a mistake even if no step uses it (yet)


def _cpu_limits(spec: WorkflowSpec, profiles: Profiles) -> Iterator[Problem]:
    """CPU limits below the request where one of the two comes from a profile.

    Where both are the workflow's own, that is a problem of the workflow.
    """
    for index, step in enumerate(spec.steps or ()):
        name = profile_name(step, spec)
        if name is None:
            continue
        merged = effective_resources(step, spec, profiles[name])
        written = effective_resources(step, spec, None)
        asked = words.parse_cpu(merged.cpu) if merged.cpu is not None else None
        most = words.parse_cpu(merged.cpu_limit) if merged.cpu_limit is not None else None
        if asked is None or most is None or most >= asked:
            continue
        if written.cpu is None or written.cpu_limit is None:
            sentence = (
                f"step {step.name!r} requests more CPU ({merged.cpu}) than its cpuLimit of "
                f"{merged.cpu_limit}, one of which is that of the compute profile {name!r}; set both, "
                "or use another profile"
            )
            yield Problem(f"/steps/{index}/resources/cpuLimit", conditions.INVALID_PROFILE, sentence)


def _read(profile: ProfileView) -> ComputeProfileSpec:
    return ComputeProfileSpec.model_validate(profile.spec, extra="ignore")


def _first(error: ValidationError) -> str:
    details = error.errors(include_url=False)[0]
    where = "".join(f".{part}" for part in details["loc"])
    return f"spec{where}: {details.get('ctx', {}).get('error', details['msg'])}"
