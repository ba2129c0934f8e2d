"""Container images made with nothing but Python: one layer, in the form of `docker save`."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Image:
    """How an image is run.

    Attributes:
        name: Its full name with the tag; `docker.io/library/...` for the short ones.
        command: What runs unless the container says otherwise.
        entrypoint: What comes before the command.
        environment: Variables besides PATH.
    """

    name: str
    command: Sequence[str] = ()
    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def write(image: Image, layer: Path, target: Path) -> None:
    """Write the archive `target` of an image whose only layer is the tar file `layer`."""
    digest = _sha256(layer)
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Env": [f"PATH={_PATH}", *(f"{name}={value}" for name, value in image.environment.items())],
                "Entrypoint": list(image.entrypoint),
                "Cmd": list(image.command),
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "localcluster"}],
        }
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [image.name], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(target, "w") as archive:
        add_bytes(archive, name, configuration)
        archive.add(layer, f"{digest}/layer.tar")
        add_bytes(archive, "manifest.json", json.dumps(manifest).encode())


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """Add a file that is only in memory; it belongs to root."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(content))


def add_folder(archive: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    """Add an empty folder; it belongs to root."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.mode = mode
    archive.addfile(entry)


def add_link(archive: tarfile.TarFile, name: str, target: str, *, hard: bool = False) -> None:
    """Add a symbolic link, or a hard one to a file that is in the archive already."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
    entry.linkname = target
    entry.mode = 0o777
    archive.addfile(entry)


def _sha256(file: Path) -> str:
    total = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()
