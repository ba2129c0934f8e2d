"""Reads settings from `NIGHTCRAWLER_*` environment variables; an invalid value is an error in one sentence.

An empty variable counts as unset, because the chart renders an unset value as one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from nightcrawler_crds import words
from nightcrawler_crds.errors import ConfigurationError

PREFIX: Final = "NIGHTCRAWLER_"

S = TypeVar("S", bound=BaseSettings)


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def read(kind: type[S]) -> S:
    """The settings of this process's environment.

    Raises:
        ConfigurationError: Variables cannot be used; each has a line with its value and what is accepted.
    """
    try:
        return kind()
    except ValidationError as error:
        lines = [_sentence(problem, kind) for problem in error.errors()]
        raise ConfigurationError("\n".join(lines)) from None


def _sentence(problem: ErrorDetails, kind: type[BaseSettings]) -> str:
    # Our own validators raise whole sentences.
    own = problem.get("ctx", {}).get("error")
    if isinstance(own, ValueError):
        return str(own)
    name = str(problem["loc"][0])
    forms = accepted(kind.model_fields[name])
    return f"{variable(name)} {problem['input']!r} cannot be used. Accepted: {forms}."


def accepted(field: FieldInfo) -> str:
    """What a field accepts, as part of a sentence."""
    bounds = {type(bound): bound for bound in field.metadata if isinstance(bound, Ge | Le)}
    if bounds:
        return f"a whole number from {bounds[Ge].ge} to {bounds[Le].le}"  # type: ignore[union-attr]
    if get_origin(field.annotation) is Literal:
        return " or ".join(get_args(field.annotation))
    return _ACCEPTED.get(field.annotation, "text")


_ACCEPTED: Final[dict[Any, str]] = {
    bool: "true or false",
    float: words.DURATION_FORMS,
    str: "a DNS label: lower-case letters, digits and, between them, dashes; at most 63 characters",
    Path | None: "the path of a file",
}
