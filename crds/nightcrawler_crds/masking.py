"""Masks the values of Secrets in text: which Secrets the steps of a run use, and how a value may be written.

Pure. A value that was changed since the program read it is not known any more, and so is not masked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from typing_extensions import override

from nightcrawler_crds.plaintext import plain, plain_line
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import Profiles

HIDDEN: Final = "***"
"""What a masked value becomes."""
_SHORTEST: Final = 4
"""Characters of the shortest value that is masked; shorter ones would hide half of each line."""
_SHORTEST_LINE: Final = 8
"""The same of a line of several: a file in a Secret also has lines such as `debug: true`."""

Keys = frozenset[str] | None
"""Keys of a Secret; None for all."""


class Mask:
    """Replaces the values of Secrets wherever they occur in a text."""

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        written = {text for value in values for text in _written(value)}
        # Of two that contain each other, the longer one leaves nothing.
        self._texts = sorted(written, key=lambda text: (-len(text), text))

    def __call__(self, text: str) -> str:
        """The text with what is to be hidden replaced."""
        for hidden in self._texts:
            if hidden in text:
                text = text.replace(hidden, HIDDEN)
        return text

    def of_line(self, line: bytes) -> bytes:
        """A line of a log, as its node sends it, with the same replaced.

        If anything is to be hidden, it is without terminal sequences, which may be in the middle of a value.
        """
        if not self._texts:
            return line
        stamp, _, text = line.decode(errors="replace").partition(" ")
        return f"{stamp} {self(plain_line(text))}".encode()

    def __or__(self, other: Mask) -> Mask:
        """The mask that hides what either does."""
        both = type(self)()
        both._texts = sorted({*self._texts, *other._texts}, key=lambda text: (-len(text), text))
        return both

    @override
    def __repr__(self) -> str:
        """Without what is hidden."""
        return f"Mask({len(self._texts)} texts)"


class Withheld(Mask):
    """Hides all of a text: the Secrets whose values would be masked in it cannot be read."""

    @override
    def __call__(self, text: str) -> str:
        """What stands for the text, as the end of a sentence that begins with a step."""
        return "has a message that is withheld: the Secrets whose values are masked in it cannot be read"


NOTHING_HIDDEN: Final = Mask()


def used_secrets(
    spec: WorkflowSpec, profiles: Profiles, template: Mapping[str, Any] | None = None
) -> dict[str, Keys]:
    """The Secrets whose values the steps can read, with their keys; `template` is the Environment's.

    Not those with which images are pulled and volumes are attached: the node reads them, and no step.
    """
    used: dict[str, Keys] = {}
    variables = [variable for step in spec.steps or () for variable in step.env or ()]
    variables += [variable for profile in profiles.values() for variable in profile.env or ()]
    found = [_of_source(variable.value_from) for variable in variables]
    for step in spec.steps or ():
        found += [_of_env_from(source) for source in step.env_from or ()]
    for each in (template, *(step.pod_template for step in spec.steps or ())):
        found += _of_template(each)
    for name, keys in (one for one in found if one is not None):
        there = used.get(name, frozenset())
        used[name] = None if keys is None or there is None else there | keys
    return used


def values_of(data: Mapping[str, bytes], keys: Keys) -> list[bytes]:
    """The values of a Secret's keys."""
    return [value for key, value in data.items() if keys is None or key in keys]


def _written(value: bytes) -> Iterator[str]:
    """The forms in which programs write a value."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    lines = [line.strip() for line in text.splitlines()]
    shortest = _SHORTEST if len([line for line in lines if line]) <= 1 else _SHORTEST_LINE
    for line in (line for line in lines if len(line) >= shortest):
        yield line
        yield plain(line)
        yield json.dumps(line)[1:-1]
        yield json.dumps(line, ensure_ascii=False)[1:-1]
        yield quote(line, safe="")
        yield quote_plus(line)
    if len(value) >= _SHORTEST:
        yield base64.b64encode(value).decode().rstrip("=")
        yield base64.b64encode(value.strip()).decode().rstrip("=")


# --- where Secrets are named ---------------------------------------------------------------------------


def _of_template(template: Mapping[str, Any] | None) -> Iterator[tuple[str, Keys] | None]:
    """In a podTemplate, which may be any JSON."""
    spec = _field(template, "spec")
    for container in (*_items(spec, "initContainers"), *_items(spec, "containers")):
        for variable in _items(container, "env"):
            yield _of_source(_field(variable, "valueFrom"))
        for source in _items(container, "envFrom"):
            yield _of_env_from(source)
    for volume in _items(spec, "volumes"):
        yield _of_files(_field(volume, "secret"), "secretName")
        for source in _items(_field(volume, "projected"), "sources"):
            yield _of_files(_field(source, "secret"), "name")


def _of_source(source: Any) -> tuple[str, Keys] | None:
    chosen = _field(source, "secretKeyRef")
    name, key = _field(chosen, "name"), _field(chosen, "key")
    return (name, frozenset({key})) if isinstance(name, str) and isinstance(key, str) else None


def _of_env_from(source: Any) -> tuple[str, Keys] | None:
    name = _field(_field(source, "secretRef"), "name")
    return (name, None) if isinstance(name, str) else None


def _of_files(secret: Any, named: str) -> tuple[str, Keys] | None:
    name, items = _field(secret, named), _items(secret, "items")
    if not isinstance(name, str):
        return None
    keys = frozenset(key for key in (_field(item, "key") for item in items) if isinstance(key, str))
    return name, keys if items else None


def _field(parent: Any, name: str) -> Any:
    return parent.get(name) if isinstance(parent, Mapping) else None


def _items(parent: Any, name: str) -> list[Any]:
    found = _field(parent, name)
    return found if isinstance(found, list) else []
