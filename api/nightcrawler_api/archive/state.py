"""States of the archive, and what a process knows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Known:
    """What a process knows of the archive when it begins to read.

    Attributes:
        name: The database's name; empty at first.
        upto: The key up to which it knows which of its cached executions are archived.
        unverified: Executions that it has cached since: their namespaces by their UIDs.
    """

    name: str = ""
    upto: int = 0
    unverified: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The state of the archive that a transaction reads.

    Attributes:
        name: The database's name.
        removals: How often rows were removed from it.
        keys: Those of the namespaces that are served, by their names, as far as something is archived there.
        upto: The greatest key of an execution.
        archived: Key, namespace, UID and name of those that are new, and of the unverified ones that are
            archived.
        starts_over: It is another database, or an earlier state of it: nothing that was known holds.
    """

    name: str
    removals: int
    keys: Mapping[str, int]
    upto: int
    archived: Sequence[tuple[int, str, str, str]] = field(default=())
    starts_over: bool = False
