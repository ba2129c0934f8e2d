"""What Kubernetes makes of `$(NAME)` in a container's variables, command and arguments.

As `k8s.io/kubernetes/third_party/forked/golang/expansion` does it: `$$` is a plain `$`, `$(NAME)` of
a variable that is known is its value, and everything else stays as it is. Values of variables are
expanded in order, each from those before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def expand(text: str, known: Mapping[str, str]) -> str:
    """The text with its references filled in."""
    out: list[str] = []
    place = 0
    while place < len(text):
        if text[place] != "$" or place + 1 == len(text):
            out.append(text[place])
            place += 1
        elif text[place + 1] == "$":
            out.append("$")
            place += 2
        elif text[place + 1] == "(" and (end := text.find(")", place)) > 0:
            name = text[place + 2 : end]
            out.append(known.get(name, f"$({name})"))
            place = end + 1
        else:
            out.append(text[place : place + 2])
            place += 2
    return "".join(out)


def environment_of(variables: Sequence[Mapping[str, Any]], secrets: Mapping[str, str]) -> dict[str, str]:
    """What the program finds in its environment; `secrets` are the values of `secretKeyRef`s by key."""
    known: dict[str, str] = {}
    for variable in variables:
        source = variable.get("valueFrom")
        if source is not None:
            known[variable["name"]] = secrets[source["secretKeyRef"]["key"]]
        else:
            known[variable["name"]] = expand(variable.get("value", ""), known)
    return known
