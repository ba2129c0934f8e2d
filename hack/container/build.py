"""Builds the image of the Dockerfile: with Docker where an engine answers, else with buildah.

Without a registry the base is a small Debian that debootstrap makes, under the name that the Dockerfile
asks for (see `localcluster.images`). Either way the result is an archive as `docker save` writes it, kept
by the content of all that the Dockerfile copies, so that nothing is built twice.
"""

import os
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from localcluster import cache, debian, images, kind
from localcluster.errors import ClusterError
from localcluster.host import program
from localcluster.progress import heartbeat, say

ROOT = Path(__file__).parents[2]
REPOSITORY = "nightcrawler.dev/nightcrawler"
_FILE = "nightcrawler.tar"
_BUILDAH = {"buildah": "buildah"}
_KEPT = 5
"""Archives of earlier sources that are kept: branches are changed to and fro."""
_PIP_ARGUMENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
_CERTIFICATE_INSIDE = "/run/pip-certificate.pem"
# Takes any image, signed or not: there is only the one that was made here.
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'


def version() -> str:
    """The version of the programs, which is the image's tag."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def name() -> str:
    """The image's full name with its tag."""
    return f"{REPOSITORY}:{version()}"


def archive() -> Path:
    """The archive of the image, built now unless it has been built from the same content before.

    Raises:
        ClusterError: If it cannot be built; with the last lines of the build.
    """
    made = cache.entry("image", cache.digest(*_contents()), _build)
    cache.forget("image", made, _KEPT)
    return made / _FILE


def sources(root: Path = ROOT) -> list[Path]:
    """Every file that the Dockerfile may copy, by the list in `.dockerignore`, in order."""
    lines = (root / ".dockerignore").read_text().splitlines()
    found: list[Path] = []
    for line in lines:
        path = root / line.removeprefix("!")
        if line.startswith("!"):
            found += [path] if path.is_file() else (p for p in path.rglob("*") if p.is_file())
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _contents() -> Iterator[bytes | str]:
    for path in (ROOT / "Dockerfile", *sources()):
        yield str(path.relative_to(ROOT))
        yield path.read_bytes()


def _build(folder: Path) -> None:
    if kind.engine_answers():
        _with_docker(folder / _FILE)
    else:
        _with_buildah(folder / _FILE)
    say(f"{name()}: {(folder / _FILE).stat().st_size / 1e6:.0f} MB")


def _with_docker(target: Path) -> None:
    arguments = [*_labels(), *_pip_arguments()]
    _run(f"building {name()} with Docker", ["docker", "build", f"--tag={name()}", *arguments, str(ROOT)])
    _run("saving it", ["docker", "save", f"--output={target}", name()])


def _with_buildah(target: Path) -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            f"No Docker engine answers, and building {name()} without one needs root: "
            "start Docker, or run as root."
        )
    debian.ensure(_BUILDAH)
    base = images.python_archive()
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch_name:
        scratch = Path(scratch_name)
        policy = scratch / "policy.json"
        policy.write_text(_POLICY)
        storage = ("--storage-driver=vfs", f"--root={scratch / 'store'}", f"--runroot={scratch / 'run'}")
        buildah = [program("buildah"), *storage]
        trust = f"--signature-policy={policy}"
        _run("taking the base", [*buildah, "pull", "--quiet", trust, f"docker-archive:{base}"])
        build = ("bud", trust, "--pull-never", "--isolation=chroot", "--layers=false", f"--tag={name()}")
        arguments = [*_labels(), *_pip_arguments(), *_certificate()]
        _run(f"building {name()} with buildah", [*buildah, *build, *arguments, str(ROOT)])
        written = f"docker-archive:{target}:{name()}"
        _run("writing the archive", [*buildah, "push", "--quiet", trust, name(), written])


def _labels() -> list[str]:
    asked = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    return [f"--build-arg=VERSION={version()}", f"--build-arg=REVISION={ended.stdout.strip()}"]


def _pip_arguments() -> list[str]:
    """Where this machine's pip looks for packages, if the environment says so."""
    return [f"--build-arg={name}={os.environ[name]}" for name in _PIP_ARGUMENTS if os.environ.get(name)]


def _certificate() -> list[str]:
    """The certificate that this machine's pip trusts, lent to the build; it does not get into the image."""
    file = os.environ.get("PIP_CERT")
    if not file:
        return []
    return [f"--volume={file}:{_CERTIFICATE_INSIDE}:ro", f"--build-arg=PIP_CERT={_CERTIFICATE_INSIDE}"]


def _run(what: str, command: Sequence[str]) -> None:
    """Run a command whose output is shown only if it fails."""
    with tempfile.TemporaryFile("w+") as log, heartbeat(what):
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        log.seek(0)
        last = "\n  ".join(log.read().splitlines()[-25:])
    if ended.returncode != 0:
        raise ClusterError(
            f"{what} failed:\n  {last}\n"
            "Can pip reach its index (PIP_INDEX_URL, PIP_CERT), and are 2 GB of disk free? Then try again."
        )
