"""Which cluster `make demo` and `make cluster-up` use. The tests' is always the embedded one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "NIGHTCRAWLER_KUBECONFIG"


@dataclass(frozen=True)
class Named:
    """A cluster that the user names by its kubeconfig; it is used as it is."""

    kubeconfig: Path


@dataclass(frozen=True)
class Kind:
    """A cluster in containers, made with kind."""


@dataclass(frozen=True)
class Embedded:
    """The cluster of this package."""


def choose(
    environment: Mapping[str, str], kind_works: Callable[[], bool], ours: Path
) -> Named | Kind | Embedded:
    """The first of: what the user names, kind if a Docker engine answers, the embedded cluster.

    Args:
        environment: The environment's variables.
        kind_works: Whether kind can be used; only called if it matters.
        ours: The kubeconfig that `up` leaves. Who names that one means no other cluster.
    """
    named = environment.get(VARIABLE, "")
    if named and (kubeconfig := Path(named).expanduser()).absolute() != ours:
        return Named(kubeconfig)
    return Kind() if kind_works() else Embedded()
