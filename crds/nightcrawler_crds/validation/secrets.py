"""`config.security.secureSecrets`: what looks like a secret must not be written out, nor get into a status.

Names are judged by their words, for a value does not show what it is. It is a help against mistakes, not a
border: whoever may write a workflow can name a variable as they like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from nightcrawler_crds.v1alpha1 import EnvVar, WorkflowSpec, conditions
from nightcrawler_crds.validation.problems import Problem, pointer_part

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""Words of a name in capitals, in camelCase or with separators; digits separate too."""
_REFERENCE: Final = re.compile(r"\$\([^)]+\)")

_ANYWHERE: Final = (
    "password",
    "passwd",
    "passwords",
    "passphrase",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "apikey",
    "accesskey",
    "privatekey",
)
"""Ends of words that make the whole name that of a secret: PGPASSWORD, CLIENT_SECRET_PROD."""
_LAST_OF_SEVERAL: Final = ("pwd", "pass")
"""Last words that do so unless they are the only one: DB_PASS, and not PWD."""
_KEYS_OF: Final = frozenset(
    {
        "access",
        "account",
        "api",
        "auth",
        "encryption",
        "hmac",
        "private",
        "secret",
        "service",
        "signing",
        "ssh",
    }
)
"""Words before `key` at the end of a name."""
_ABOUT: Final = frozenset(
    {
        "age", "algorithm", "count", "dir", "directory", "enabled", "endpoint", "expires", "expiry", "file",
        "files", "folder", "format", "header", "host", "id", "ids", "index", "length", "lifetime", "limit",
        "max", "min", "mode", "name", "names", "path", "paths", "policy", "prefix", "provider", "ref",
        "required", "rotation", "size", "store", "timeout", "ttl", "type", "uri", "url", "version",
    }
)  # fmt: skip
"""Last words of what is only about a secret: PASSWORD_FILE, SECRET_NAME, TOKEN_URL."""
_NO_SECRETS: Final = frozenset({"", "false", "none", "null", "true"})
"""Values that are none, in any case."""

_DO_IT_RIGHT: Final = "valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}"
_FORBIDS: Final = "config.security.secureSecrets does not allow"
_INTO_STATUS: Final = "FallbackToLogsOnError"


def is_secure(spec: WorkflowSpec) -> bool:
    """Whether the workflow keeps secrets from its definition, logs and status."""
    security = spec.config.security if spec.config else None
    return security is not None and security.secure_secrets is True


def looks_secret(name: str) -> bool:
    """Whether a variable or parameter of this name is likely to hold a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _ABOUT:
        return False
    if words[-1] == "key":
        return len(words) > 1 and words[-2] in _KEYS_OF
    if any(word.endswith(_ANYWHERE) for word in words):
        return True
    # Not anywhere: token classification is no secret, nor is the plural in MAX_TOKENS.
    return words[-1].endswith("token") or (words[-1] in _LAST_OF_SEVERAL and len(words) > 1)


def secret_problems(spec: WorkflowSpec) -> Iterator[Problem]:
    """What `secureSecrets` forbids: secrets that are written out, and log lines that get into a status."""
    if not is_secure(spec):
        return
    for index, parameter in enumerate(spec.parameters or ()):
        for inner in _literals(parameter.name, parameter.default):
            about = f"the parameter {parameter.name!r} has a default{_of(parameter.name, inner)}"
            yield _written_out(f"/parameters/{index}/default", _of_parameter(about))
    for index, step in enumerate(spec.steps or ()):
        at, about = f"/steps/{index}", f"step {step.name!r}:"
        for place, variable in enumerate(step.env or ()):
            if _is_literal_variable(variable.name, variable.value):
                yield _written_out(f"{at}/env/{place}/value", f"{about} {_of_variable(variable.name)}")
        yield from _of_template(step.pod_template or {}, f"{at}/podTemplate", about)


def profile_secrets(spec: WorkflowSpec, variables: Iterable[EnvVar], profile: str) -> str | None:
    """The sentence about a secret that a compute profile of a workflow with `secureSecrets` writes out."""
    if is_secure(spec):
        for variable in variables:
            if _is_literal_variable(variable.name, variable.value):
                return f"the compute profile {profile!r}: {_of_variable(variable.name)}"
    return None


def given_secrets(spec: WorkflowSpec, given: Mapping[str, Any]) -> Iterator[Problem]:
    """Parameters of a run that look like secrets, if its workflow has `secureSecrets`."""
    if not is_secure(spec):
        return
    for name, value in given.items():
        for inner in _literals(name, value):
            about = f"the parameter {name!r} has a value{_of(name, inner)}"
            yield _written_out(f"/parameters/{pointer_part(name)}", _of_parameter(about))


def _literals(name: str, value: Any) -> Iterator[str]:
    """The name of a parameter, or of a field in its value, that holds what looks like a secret: the first."""
    todo = [(name, value)]
    while todo:
        at, inner = todo.pop()
        if isinstance(inner, Mapping):
            todo += [(str(key), one) for key, one in inner.items()]
        elif isinstance(inner, list):
            todo += [(at, one) for one in inner]
        elif looks_secret(at) and not isinstance(inner, bool) and _is_literal(inner):
            yield at
            return


def _is_literal_variable(name: str, value: str | None) -> bool:
    return value is not None and looks_secret(name) and _is_literal(value)


def _is_literal(value: Any) -> bool:
    """Whether a value is written out; `$(OTHER)` takes it from another variable, `$$(OTHER)` does not."""
    if value is None:
        return False
    text = str(value).strip()
    return text.lower() not in _NO_SECRETS and not _REFERENCE.search(text.replace("$$", ""))


def _of_template(template: Mapping[str, Any], at: str, about: str) -> Iterator[Problem]:
    """The same in a podTemplate, which may be any JSON: what is wrong with its form is reported elsewhere."""
    spec = template.get("spec")
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(_list(spec, kind)):
            where = f"{at}/spec/{kind}/{index}"
            for place, variable in enumerate(_list(container, "env")):
                name, value = (_text(variable, field) for field in ("name", "value"))
                if name is not None and _is_literal_variable(name, value):
                    yield _written_out(f"{where}/env/{place}/value", f"{about} {_of_variable(name)}")
            if _text(container, "terminationMessagePolicy") == _INTO_STATUS:
                sentence = (
                    f"{about} podTemplate.spec.{kind}[{index}].terminationMessagePolicy: {_INTO_STATUS!r} "
                    f"would put lines of the log into the status, which {_FORBIDS}: leave it out"
                )
                pointer = f"{where}/terminationMessagePolicy"
                yield Problem(pointer, conditions.INVALID_POD_TEMPLATE, sentence)


def _list(parent: Any, field: str) -> list[Any]:
    found = parent.get(field) if isinstance(parent, Mapping) else None
    return found if isinstance(found, list) else []


def _text(parent: Any, field: str) -> str | None:
    found = parent.get(field) if isinstance(parent, Mapping) else None
    return found if isinstance(found, str) else None


def _written_out(pointer: str, sentence: str) -> Problem:
    return Problem(pointer, conditions.LITERAL_SECRET, sentence)


def _of_variable(name: str) -> str:
    return (
        f"the variable {name!r} looks like a secret, and its value is written out, which {_FORBIDS}: "
        f"put it into a Secret, and use {_DO_IT_RIGHT}"
    )


def _of_parameter(about: str) -> str:
    return (
        f"{about}, and looks like a secret, which {_FORBIDS}: whoever can see the run can read its "
        f"parameters. Put it into a Secret, and let the steps that need it take it by env with {_DO_IT_RIGHT}"
    )


def _of(name: str, inner: str) -> str:
    return "" if inner == name else f" with {inner!r} in it"
