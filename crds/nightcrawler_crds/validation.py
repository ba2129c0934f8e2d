"""What one object cannot show by its schema: graphs, sizes, Pod templates, parameters, environments.

The facade asks on every write and refuses; the operator asks before it runs anything and
says so in `Accepted`. Both get the same sentences.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from nightcrawler_crds import jsonnumbers, podtemplate, schedules, words
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.podtemplate import PodPolicy
from nightcrawler_crds.v1alpha1 import (
    MAX_PARAMETERS_BYTES,
    MAX_SPEC_BYTES,
    Resources,
    Step,
    WorkflowSpec,
    conditions,
)

_MOST_OF_PODS: Final = 100
"""How many problems of podTemplates are told; each may take a while to find the name that was meant."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot run: where (a JSON pointer into the spec), the reason, a sentence."""

    pointer: str
    reason: str
    message: str


def workflow_problems(
    spec: WorkflowSpec, policy: PodPolicy, *, size: int | None = None, steps_required: bool = True
) -> list[Problem]:
    """Everything that keeps a workflow from running. `size` is that of its JSON, in bytes."""
    steps = spec.steps or []
    problems: list[Problem] = []
    if size is None:
        size = len(msgspec.json.encode(spec.model_dump(by_alias=True, exclude_unset=True, mode="json")))
    if size > MAX_SPEC_BYTES:
        problems.append(
            Problem(
                "",
                conditions.TOO_LARGE,
                f"the spec has {size} bytes of JSON; at most {MAX_SPEC_BYTES} are allowed",
            )
        )
    if not steps and steps_required:
        problems.append(
            Problem("/steps", conditions.NO_STEPS, "the workflow has no steps; add at least one to run it")
        )
    problems += _duplicates(steps)
    problems += _dependencies(steps)
    if spec.effective_order == "Graph" and not problems:
        problems += _cycle(steps)
    if spec.order == "Sequence":
        problems += [
            Problem(
                f"/steps/{index}/dependsOn",
                conditions.INVALID_SPEC,
                f"step {step.name!r} has dependsOn, but order is Sequence; set order: Graph",
            )
            for index, step in enumerate(steps)
            if step.depends_on
        ]
    problems += _schedule(spec)
    problems += _numbers(spec)
    problems += _cpu_limits(spec)
    return [*problems, *islice(_pods(steps, policy), _MOST_OF_PODS)]


def _duplicates(steps: Sequence[Step]) -> Iterable[Problem]:
    seen: set[str] = set()
    for index, step in enumerate(steps):
        if step.name in seen:
            yield Problem(
                f"/steps/{index}/name",
                conditions.INVALID_SPEC,
                f"two steps are named {step.name!r}; names must differ",
            )
        seen.add(step.name)


def _dependencies(steps: Sequence[Step]) -> Iterable[Problem]:
    known = {step.name for step in steps}
    for index, step in enumerate(steps):
        for position, dependency in enumerate(step.depends_on or ()):
            if dependency not in known:
                yield Problem(
                    f"/steps/{index}/dependsOn/{position}",
                    conditions.UNKNOWN_DEPENDENCY,
                    f"step {step.name!r} depends on {dependency!r}, and there is no such step",
                )


def _cycle(steps: Sequence[Step]) -> Iterable[Problem]:
    """The first cycle of the graph, as the path that a person would follow."""
    index = {step.name: position for position, step in enumerate(steps)}
    depends = {step.name: step.depends_on or [] for step in steps}
    done: set[str] = set()
    for start in depends:
        path: list[str] = []
        on_path: set[str] = set()
        todo: list[tuple[str, bool]] = [(start, False)]
        while todo:
            name, leaving = todo.pop()
            if leaving:
                on_path.discard(path.pop())
                done.add(name)
            elif name in on_path:
                cycle = [*path[path.index(name) :], name]
                yield Problem(
                    f"/steps/{index[name]}/dependsOn",
                    conditions.DEPENDENCY_CYCLE,
                    "steps wait for each other: " + " → ".join(cycle),
                )
                return
            elif name not in done:
                path.append(name)
                on_path.add(name)
                todo.append((name, True))
                todo.extend((dependency, False) for dependency in depends[name])


def _schedule(spec: WorkflowSpec) -> Iterable[Problem]:
    # Not in the model: a run that goes on must be able to read what it began with, whatever is refused now.
    schedule = spec.config.schedule if spec.config else None
    for field, message in schedules.findings(schedule) if schedule else ():
        yield Problem(f"/config/schedule/{field}", conditions.INVALID_SPEC, message)


def _numbers(spec: WorkflowSpec) -> Iterable[Problem]:
    """Numbers that may have been rounded on their way, in the fields that take any JSON."""
    for index, parameter in enumerate(spec.parameters or ()):
        what = f"the default of the parameter {parameter.name!r}"
        yield from _not_kept(what, f"/parameters/{index}/default", parameter.default)
    for index, step in enumerate(spec.steps or ()):
        free_form = [("podTemplate", step.pod_template), ("envFrom", step.env_from)]
        free_form += [(f"env/{at}/valueFrom", one.value_from) for at, one in enumerate(step.env or ())]
        for where, value in free_form:
            yield from _not_kept(f"step {step.name!r}", f"/steps/{index}/{where}", value)


def _not_kept(what: str, pointer: str, value: Any) -> Iterable[Problem]:
    for place, number in jsonnumbers.not_kept(value):
        where = "".join(f"/{pointer_part(str(part))}" for part in place)
        message = (
            f"{what} has the number {number} in it, which does not fit in 64 bits and may have been rounded "
            "on its way here; write it as text"
        )
        yield Problem(pointer + where, conditions.INVALID_SPEC, message)


def _cpu_limits(spec: WorkflowSpec) -> Iterable[Problem]:
    """Limits below what the step asks for, which no node could keep."""
    for_all = (spec.config and spec.config.resources) or Resources()
    for index, step in enumerate(spec.steps or ()):
        own = step.resources or Resources()
        pointer = "/config" if own.cpu_limit is None else f"/steps/{index}"
        cpu = own.cpu if own.cpu is not None else for_all.cpu
        limit = own.cpu_limit if own.cpu_limit is not None else for_all.cpu_limit
        asked = words.parse_cpu(cpu) if cpu is not None else None
        most = words.parse_cpu(limit) if limit is not None else None
        if asked is not None and most is not None and most < asked:
            yield Problem(
                f"{pointer}/resources/cpuLimit",
                conditions.INVALID_SPEC,
                f"step {step.name!r} asks for more CPU ({cpu}) than its limit, cpuLimit, of {limit}; "
                "raise the limit or ask for less",
            )


def _pods(steps: Iterable[Step], policy: PodPolicy) -> Iterator[Problem]:
    """What is wrong in what steps say in Kubernetes' own words: variables' sources and podTemplates."""
    for index, step in enumerate(steps):
        at, about = f"/steps/{index}", f"step {step.name!r}:"
        for where, message in podtemplate.env_findings(
            [variable.value_from for variable in step.env or ()], step.env_from or (), policy
        ):
            yield Problem(at + where, conditions.INVALID_SPEC, f"{about} {message}")
        if step.pod_template is not None:
            for where, message in podtemplate.findings(step.pod_template, policy):
                pointer = f"{at}/podTemplate{where}"
                yield Problem(pointer, conditions.INVALID_POD_TEMPLATE, f"{about} {message}")


def environment_problems(
    steps: Iterable[Step], environment: str | None, node_selector: Mapping[str, str]
) -> list[Problem]:
    """Where steps, of a workflow without other problems, would leave the nodes of their Environment."""
    return [
        Problem(
            f"/steps/{index}/podTemplate{where}",
            conditions.INVALID_POD_TEMPLATE,
            f"step {step.name!r}: {message}",
        )
        for index, step in enumerate(steps)
        for where, message in podtemplate.leaves(step.pod_template or {}, environment, node_selector)
    ]


# --- parameters ------------------------------------------------------------------------------------


def parameter_problems(spec: WorkflowSpec, given: Mapping[str, Any]) -> list[Problem]:
    """What keeps these values from being the workflow's parameters."""
    declared = {parameter.name: parameter for parameter in spec.parameters or ()}
    problems = [
        *_too_large(given),
        *_undeclared(declared, given),
        *_with_nul(filled_parameters(spec, given)),
        *_rounded(given),
    ]
    for parameter in declared.values():
        if parameter.required and parameter.default is None and parameter.name not in given:
            message = f"the parameter {parameter.name!r} is required and has no value"
            problems.append(Problem(f"/parameters/{parameter.name}", conditions.MISSING_PARAMETER, message))
    return problems


def _too_large(given: Mapping[str, Any]) -> Iterable[Problem]:
    size = len(msgspec.json.encode(given))
    if size > MAX_PARAMETERS_BYTES:
        message = f"the parameters have {size} bytes of JSON; at most {MAX_PARAMETERS_BYTES} are allowed"
        yield Problem("/parameters", conditions.TOO_LARGE, message)


def _with_nul(values: Mapping[str, Any]) -> Iterable[Problem]:
    """Texts that no program could be given: a NUL ends a variable. In nested values JSON escapes it."""
    for name, value in values.items():
        if isinstance(value, str) and "\0" in value:
            message = f"the parameter {name!r} has a NUL character in it, which no variable can hold"
            yield Problem(f"/parameters/{pointer_part(name)}", conditions.INVALID_SPEC, message)


def _rounded(given: Mapping[str, Any]) -> Iterable[Problem]:
    for name, value in given.items():
        yield from _not_kept(f"the parameter {name!r}", f"/parameters/{pointer_part(name)}", value)


def _undeclared(declared: Collection[str], given: Mapping[str, Any]) -> Iterable[Problem]:
    """Names that are not declared; where none are, any will do that can name a variable."""
    for name in given:
        if declared and name not in declared:
            message = f"the workflow has no parameter {name!r}; it has: {', '.join(declared)}"
        elif not declared and not _is_variable(name):
            rule = "use letters, digits and _, not starting with a digit"
            message = f"a parameter cannot be named {name!r}; {rule}"
        else:
            continue
        yield Problem(f"/parameters/{pointer_part(name)}", conditions.UNKNOWN_PARAMETER, message)


def filled_parameters(spec: WorkflowSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values a run has: those given, and the defaults of the others, in the order of declaration.

    What is declared and has neither is an empty text: without a variable `$(PARAM_x)` would reach the
    program as it is written.
    """
    declared = spec.parameters or ()
    values = {p.name: p.default if "default" in p.model_fields_set else "" for p in declared}
    return {**values, **given}


def pointer_part(text: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return text.replace("~", "~0").replace("/", "~1")


def _is_variable(name: str) -> bool:
    return name.isascii() and name.isidentifier()


# --- environments ----------------------------------------------------------------------------------

NONE_CHOSEN: Final = "no environment is asked for, and its list of environments is empty"
"""Why a workflow with an empty list does not run: that none was chosen is not that nothing was said."""


def find_environment(wanted: str, environments: Collection[EnvironmentView]) -> EnvironmentView | None:
    """An Environment by metadata.name, else by alias, the oldest first; None if there is none."""
    for environment in environments:
        if environment.metadata.name == wanted:
            return environment
    return oldest(e for e in environments if wanted in (e.spec.get("aliases") or ()))


def oldest(environments: Iterable[EnvironmentView]) -> EnvironmentView | None:
    """The Environment that has been there longest; by name where two are of one second."""
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
