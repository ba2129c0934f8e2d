"""The images of the real node, made without a registry under the names that the examples use.

`busybox:1` is Debian's busybox with the C library (the static one cannot look
up names), `python:3.11-slim-bookworm` a small Debian 12 with its Python 3.11.
They are close enough to the public ones that an example which runs here runs
unchanged elsewhere.
"""

import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import archive, binaries, cache, debian
from .archive import Image
from .errors import ClusterError
from .host import run
from .nodeconfig import PAUSE_IMAGE
from .progress import heartbeat

# Raise this with every change of how an image is made, so that cached ones are rebuilt.
RECIPE = "2"
PAUSE = Image(PAUSE_IMAGE, entrypoint=["/pause"])
BUSYBOX = Image("docker.io/library/busybox:1", command=["sh"])
PYTHON = Image(
    "docker.io/library/python:3.11-slim-bookworm", command=["python3"], environment={"LANG": "C.UTF-8"}
)
_PYTHON_ARCHIVE = "python.tar"
_SUITE = "bookworm"
_LIBRARIES = ("libc.so.6", "libm.so.6", "libresolv.so.2", "ld-linux-x86-64.so.2")
_PYTHON_PACKAGES = ("python3", "python3-venv", "python3-pip", "ca-certificates")
_USERS = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
_GROUPS = b"root:x:0:\nnogroup:x:65534:\n"


def build_all(folder: Path) -> list[Path]:
    """Write an archive of each image into `folder`. Needs root, on a Debian machine.

    Raises:
        ClusterError: If one cannot be made.
    """
    if platform.machine() != "x86_64":
        raise ClusterError(f"Images are made for x86_64 only, not {platform.machine()}; run with --no-node.")
    recipes = ((PAUSE, _pause_layer), (BUSYBOX, _busybox_layer))
    return [*(_build(image, layer, folder) for image, layer in recipes), python_archive()]


def python_archive() -> Path:
    """The archive of the Python image, kept: our own image is built on it too. Needs root.

    Raises:
        ClusterError: If it cannot be made.
    """
    key = cache.digest(RECIPE, PYTHON.name, *_PYTHON_PACKAGES, platform.machine())

    def build(folder: Path) -> None:
        _build(PYTHON, _python_layer, folder).rename(folder / _PYTHON_ARCHIVE)

    return cache.entry("python-image", key, build) / _PYTHON_ARCHIVE


def _build(image: Image, fill: Callable[[Path, tarfile.TarFile], None], folder: Path) -> Path:
    target = folder / f"{image.name.rpartition('/')[2].replace(':', '-')}.tar"
    with tempfile.TemporaryDirectory(dir=folder) as scratch, heartbeat(f"making the image {image.name}"):
        layer = Path(scratch) / "layer.tar"
        with tarfile.open(layer, "w") as content:
            fill(Path(scratch), content)
        archive.write(image, layer, target)
    return target


def _pause_layer(_: Path, layer: tarfile.TarFile) -> None:
    archive.add_bytes(layer, "pause", binaries.pause().read_bytes(), 0o755)


def _busybox_layer(scratch: Path, layer: tarfile.TarFile) -> None:
    program = _debian_package("busybox", scratch) / "bin" / "busybox"
    library = _debian_package("libc6", scratch) / "lib" / "x86_64-linux-gnu"
    for name, mode in {"bin": 0o755, "etc": 0o755, "home": 0o755, "root": 0o700, "tmp": 0o1777}.items():
        archive.add_folder(layer, name, mode)
    archive.add_bytes(layer, "etc/passwd", _USERS)
    archive.add_bytes(layer, "etc/group", _GROUPS)
    archive.add_bytes(layer, "bin/busybox", program.read_bytes(), 0o755)
    for name in _LIBRARIES:
        archive.add_bytes(layer, f"lib/x86_64-linux-gnu/{name}", (library / name).read_bytes(), 0o755)
    archive.add_link(layer, "lib64", "lib/x86_64-linux-gnu")
    applets = run(str(program), "--list").split()
    for applet in applets:
        if applet != "busybox":
            archive.add_link(layer, f"bin/{applet}", "bin/busybox", hard=True)
    # Scripts name these by path.
    for folder in ("sbin", "usr"):
        archive.add_folder(layer, folder)
    archive.add_link(layer, "usr/bin", "../bin")


def _python_layer(scratch: Path, layer: tarfile.TarFile) -> None:
    debian.ensure(debian.IMAGES)
    system = scratch / "system"
    packages = ",".join(_PYTHON_PACKAGES)
    # In a mount namespace, so that what it mounts is gone with it even if it is killed.
    bootstrap = (
        "unshare",
        "--mount",
        "debootstrap",
        "--variant=minbase",
        f"--include={packages}",
        _SUITE,
        str(system),
        *_mirror(),
    )
    run(*bootstrap, advice="Is a Debian mirror reachable? Without images, --no-node still gives a cluster.")
    for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "dev"):
        shutil.rmtree(system / waste)
        (system / waste).mkdir()
    # As in the public image: `python` is there, and pip may install.
    (system / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for marker in system.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (system / "etc/hostname").unlink(missing_ok=True)
    (system / "etc/resolv.conf").unlink(missing_ok=True)
    layer.add(system, ".")


def _mirror() -> list[str]:
    """The mirror that this machine's apt uses for the suite, if it uses one."""
    targets = run("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", check=False)
    return [line.split()[0] for line in targets.splitlines() if line.split()[1:] == [_SUITE]][:1]


def _debian_package(name: str, scratch: Path) -> Path:
    """The unpacked content of a Debian package, without installing it."""
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"The image {BUSYBOX.name} is made from a Debian package, and there is no apt-get."
        )
    for attempt in ("download", "update and download"):
        if attempt != "download":
            run("apt-get", "-q", "update")
        ended = subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode == 0:
            break
    else:
        raise ClusterError(
            f"`apt-get download {name}` failed: {ended.stderr.strip()}. Can apt reach its mirror?"
        )
    package = next(scratch.glob(f"{name}_*.deb"))
    run("dpkg-deb", "--extract", str(package), str(scratch / name))
    return scratch / name
