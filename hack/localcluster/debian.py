"""Debian packages that the real node needs, installed when missing."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .errors import ClusterError
from .host import run
from .processes import SYSTEM_PATH
from .progress import heartbeat

# What is looked for, and the package that brings it. Other distributions and
# Docker's own packages have the same programs under other package names.
NODE: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
IMAGES: Mapping[str, str] = {"debootstrap": "debootstrap"}
_CNI_PACKAGE = "containernetworking-plugins"
_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_POLICY = Path("/usr/sbin/policy-rc.d")


def cni_plugins() -> Path | None:
    """The folder of the CNI plugins; None if there are none."""
    return next((folder for folder in _CNI_FOLDERS if (folder / "bridge").exists()), None)


def ensure(programs: Mapping[str, str], *, cni: bool = False) -> None:
    """Install the packages of those programs that are missing.

    Args:
        programs: Package by program.
        cni: Whether the CNI plugins are needed too.

    Raises:
        ClusterError: If they cannot be installed.
    """
    packages = {
        package for program, package in programs.items() if shutil.which(program, path=SYSTEM_PATH) is None
    }
    if cni and cni_plugins() is None:
        packages.add(_CNI_PACKAGE)
    if packages:
        _install(sorted(packages))


def _install(packages: list[str]) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"The real node needs these Debian packages or their like: {names}. This machine has no apt-get; "
            "install them with its own package manager, or run with --no-node."
        )
    with _no_services(), heartbeat(f"installing Debian packages: {names}"):
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *packages)
    if "containerd" in packages and Path("/run/systemd/system").is_dir():
        # It would start with the machine; to have it as a service, enable it.
        run("systemctl", "disable", "--now", "containerd", check=False)


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ended = subprocess.run(
        ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        last = "\n  ".join((ended.stdout + ended.stderr).splitlines()[-8:])
        raise ClusterError(
            f"`apt-get {' '.join(arguments)}` failed:\n  {last}\n"
            "Install the packages yourself, or run with --no-node to do without a real node."
        )


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep the packages from starting services: the cluster runs a containerd of its own."""
    if _POLICY.exists():
        yield  # There is a policy for services already.
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
