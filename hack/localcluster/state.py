"""The state file of a running cluster, by which any process can use and end it."""

from pathlib import Path

import msgspec

from .components import Plan
from .errors import ClusterError
from .processes import Started

_FILE = "state.json"


class Process(msgspec.Struct, frozen=True):
    """One of the cluster's programs: how it was started, and as which process."""

    argv: list[str]
    pid: int
    ticks: int

    @property
    def started(self) -> Started:
        """The process, in the form that `processes` takes."""
        return Started(self.pid, self.ticks)


class State(msgspec.Struct):
    """A cluster.

    Attributes:
        folder: Its folder, absolute.
        programs: The folder of the built components.
        host: The address of its servers.
        ports: Their ports.
        tokens: The token of each user.
        pods_reach_it: Whether it has a real node.
        extra_args: Further arguments of its components.
        audit: Whether the API server keeps an audit log.
        images: The archives of images that its node was given.
        network: The name of its network namespace; empty without one.
        processes: Its programs by name, in the order of their start.
        ready: Whether its start came to a good end.
    """

    folder: str
    programs: str
    host: str
    ports: dict[str, int]
    tokens: dict[str, str]
    pods_reach_it: bool = False
    extra_args: dict[str, list[str]] = {}
    audit: bool = False
    images: list[str] = []
    network: str = ""
    processes: dict[str, Process] = {}
    ready: bool = False

    def plan(self) -> Plan:
        """The same, as the command lines are made from it."""
        return Plan(
            folder=Path(self.folder),
            programs=Path(self.programs),
            host=self.host,
            ports=self.ports,
            pods_reach_it=self.pods_reach_it,
            extra_args=self.extra_args,
            audit=self.audit,
        )

    def save(self) -> None:
        """Write the file atomically."""
        file = Path(self.folder) / _FILE
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
        fresh.replace(file)


def load(folder: Path) -> State | None:
    """The state of the cluster in this folder; None if there is none.

    Raises:
        ClusterError: If the file cannot be understood.
    """
    file = folder / _FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ClusterError(
            f"{file} cannot be read ({error}). End what still runs of its cluster, then delete {folder}."
        ) from error
