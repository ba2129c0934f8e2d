"""A containerd store with all images unpacked, made once and given to each node.

Importing a hundred megabytes takes longer than starting a cluster. Layers are
never written to once they are unpacked, so a node's store shares them with
the kept one by hard links; only the small databases are copied.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import binaries, cache, debian, images, processes
from .errors import ClusterError
from .host import program, run
from .progress import heartbeat

NAMESPACE = "k8s.io"
_PATIENCE = 20.0
_WITH_MORE = "node-images"
_KEPT = 3
"""Stores with further images that are kept: each has the image of some sources of ours."""


def store() -> Path:
    """The kept store, made now unless it is there already. Needs root.

    Raises:
        ClusterError: If it cannot be made.
    """
    debian.ensure(debian.NODE, cni=True)
    version = run("containerd", "--version")
    key = cache.digest(images.RECIPE, images.PAUSE.name, str(binaries.pause()), version)
    return cache.entry("images", key, _make)


def give_to(target: Path, cluster: Path, archives: Sequence[Path] = ()) -> None:
    """Make `target`, which does not exist, a store of its own for a cluster.

    Args:
        target: The folder.
        cluster: The cluster's folder.
        archives: Further images, each in a file that never changes.
    """
    source = _store_with(archives) if archives else store()
    _copy(source, target, cluster)


def _store_with(archives: Sequence[Path]) -> Path:
    """The kept store with further images in it, made now unless it is there already."""
    base = store()

    def build(folder: Path) -> None:
        folder.rmdir()
        _copy(base, folder, None)
        with (
            tempfile.TemporaryDirectory(prefix="nightcrawler-images-") as scratch,
            heartbeat(f"unpacking {', '.join(archive.name for archive in archives)}"),
        ):
            _fill(folder, archives, Path(scratch))

    made = cache.entry(_WITH_MORE, cache.digest(base.name, *map(str, archives)), build)
    cache.forget(_WITH_MORE, made, _KEPT)
    return made


def _copy(source: Path, target: Path, cluster: Path | None) -> None:
    if source.stat().st_dev == target.parent.stat().st_dev:
        run("cp", "--archive", "--link", str(source), str(target), cluster=cluster)
        for database in target.rglob("*.db"):
            database.unlink()
            shutil.copy2(source / database.relative_to(target), database)
    else:
        run("cp", "--archive", "--reflink=auto", str(source), str(target), cluster=cluster)


def _make(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nightcrawler-images-") as scratch_name:
        scratch = Path(scratch_name)
        archives = images.build_all(scratch)
        with heartbeat("unpacking the images"):
            _fill(folder, archives, scratch)


def _fill(folder: Path, archives: Sequence[Path], scratch: Path) -> None:
    """Import the archives with a containerd that is there only for it."""
    socket = scratch / "containerd.sock"
    configuration = scratch / "containerd.toml"
    configuration.write_text(
        f'version = 2\nroot = "{folder}"\nstate = "{scratch / "run"}"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{socket}"\n'
    )
    log = scratch / "containerd.log"
    command = [program("containerd"), f"--config={configuration}"]
    containerd = processes.spawn(command, log=log, cluster=scratch)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not socket.exists():
            if not processes.is_alive(containerd) or time.monotonic() > deadline:
                raise ClusterError(f"containerd did not start:\n{processes.tail(log)}")
            time.sleep(0.05)
        for tar in archives:
            run("ctr", f"--address={socket}", f"--namespace={NAMESPACE}", "images", "import", str(tar))
    finally:
        processes.stop([containerd], patience=10, first=signal.SIGTERM)
