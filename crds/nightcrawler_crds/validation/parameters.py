"""A run's parameters: which values they have, and what is wrong with those given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from nightcrawler_crds.v1alpha1 import MAX_PARAMETERS_BYTES, WorkflowSpec, conditions
from nightcrawler_crds.validation.numbers import number_problems
from nightcrawler_crds.validation.problems import Problem, pointer_part
from nightcrawler_crds.validation.secrets import given_secrets


def parameter_problems(spec: WorkflowSpec, given: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with these values as the workflow's parameters."""
    declared = {parameter.name: parameter for parameter in spec.parameters or ()}
    problems = [
        *_too_large(given),
        *_undeclared(declared, given),
        *_with_nul(filled_parameters(spec, given)),
        *_rounded(given),
        *given_secrets(spec, given),
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
    """Text with a NUL character, which ends a variable. In nested values JSON escapes it."""
    for name, value in values.items():
        if isinstance(value, str) and "\0" in value:
            message = f"the parameter {name!r} has a NUL character in it, which no variable can hold"
            yield Problem(f"/parameters/{pointer_part(name)}", conditions.INVALID_SPEC, message)


def _rounded(given: Mapping[str, Any]) -> Iterable[Problem]:
    for name, value in given.items():
        yield from number_problems(f"the parameter {name!r}", f"/parameters/{pointer_part(name)}", value)


def _undeclared(declared: Collection[str], given: Mapping[str, Any]) -> Iterable[Problem]:
    """Names that are not declared; if the workflow declares none, names that cannot name a variable."""
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
    """A run's values: those given, and the defaults of the others, in the order of declaration.

    A declared parameter with neither is an empty string: without a variable, `$(PARAM_x)` would reach
    the program unexpanded.
    """
    declared = spec.parameters or ()
    values = {p.name: p.default if "default" in p.model_fields_set else "" for p in declared}
    return {**values, **given}


def _is_variable(name: str) -> bool:
    return name.isascii() and name.isidentifier()
