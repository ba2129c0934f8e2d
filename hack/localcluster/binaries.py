"""The programs of the cluster, built from Go modules and kept in the cache.

No ready kube-apiserver comes from the package registries that people usually
reach, but its source does, as a Go module. `kube/` holds a module of our own
that links etcd, the control plane, the kubelet, kube-proxy and kubectl into
one program; kwok is installed as it is, because it needs other versions of
the same libraries.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import cache
from .errors import ClusterError
from .progress import heartbeat, say

SOURCES = Path(__file__).parent
HELM = {3: "helm.sh/helm/v3/cmd/helm@v3.19.0", 4: "helm.sh/helm/v4/cmd/helm@v4.3.1"}
_HELM_NEEDS = {3: (1, 24), 4: (1, 26)}
S3_SERVER = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KWOK = "sigs.k8s.io/kwok/cmd/kwok@v0.7.0"
METRICS_SERVER = "sigs.k8s.io/metrics-server/cmd/metrics-server@v0.9.0"
LOCAL_PATH = "github.com/rancher/local-path-provisioner@v0.0.30"
OTHER_KUBERNETES = ("v1.32.13", "v1.34.4", "v1.37.2")
"""Releases whose API the chart is checked with, besides the one that is built: the oldest that it supports,
one between, and the newest."""
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
# The oldest Go that can fetch by itself the release that a go.mod asks for.
_TOOLCHAINS_SINCE = (1, 21)


def kube() -> Path:
    """The folder that has every one of `COMPONENTS` as a program.

    Raises:
        ClusterError: If Go is missing or too old, or the build fails.
    """
    source = SOURCES / "kube"
    wanted = [(source / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")]
    flags = _link_flags(kubernetes_version())

    def build(folder: Path) -> None:
        _go(
            folder,
            "the Kubernetes components",
            "6 to 10 minutes on two cores",
            ["build", "-v", "-trimpath", f"-ldflags={flags}", "-o", str(folder / "kube"), "."],
            source=source,
            needs=_go_line((source / "go.mod").read_text()),
        )
        for name in COMPONENTS:
            (folder / name).symlink_to("kube")

    return cache.entry("kube", cache.digest(*wanted, flags), build)


def kwok() -> Path:
    """The program that simulates nodes.

    Raises:
        ClusterError: If Go is missing or too old, or the build fails.
    """

    def build(folder: Path) -> None:
        _go(
            folder,
            "kwok, which simulates the GPU nodes",
            "2 minutes on two cores",
            ["install", "-v", "-trimpath", "-ldflags=-s -w", KWOK],
            source=folder,
            needs=(1, 23),
            GOBIN=str(folder),
        )

    return cache.entry("kwok", cache.digest(KWOK), build) / "kwok"


def local_path_provisioner() -> Path:
    """The program that provides volumes as folders of a node.

    Raises:
        ClusterError: If Go is missing or too old, or the build fails.
    """

    def build(folder: Path) -> None:
        _go(
            folder,
            "local-path-provisioner, which provides volumes",
            "a minute on two cores",
            ["install", "-v", "-trimpath", "-ldflags=-s -w", LOCAL_PATH],
            source=folder,
            needs=(1, 23),
            GOBIN=str(folder),
        )

    return cache.entry("local-path", cache.digest(LOCAL_PATH), build) / "local-path-provisioner"


def metrics_server() -> Path:
    """The program that serves what Pods use.

    Raises:
        ClusterError: If Go is missing or too old, or the build fails.
    """

    def build(folder: Path) -> None:
        _go(
            folder,
            "metrics-server, which measures what Pods use",
            "3 minutes on two cores",
            ["install", "-v", "-trimpath", "-ldflags=-s -w", METRICS_SERVER],
            source=folder,
            needs=_TOOLCHAINS_SINCE,
            GOBIN=str(folder),
        )

    return cache.entry("metrics-server", cache.digest(METRICS_SERVER), build) / "metrics-server"


def helm(major: int = 3) -> Path:
    """The program that installs charts.

    Args:
        major: Which of its versions, of those that people use.

    Raises:
        ClusterError: If Go is missing or too old, or the build fails.
    """
    package = HELM[major]
    flags = _helm_flags(package, kubernetes_version())

    def build(folder: Path) -> None:
        _go(
            folder,
            f"helm {major}, which installs the chart",
            "3 minutes on two cores",
            ["install", "-v", "-trimpath", f"-ldflags={flags}", package],
            source=folder,
            needs=_HELM_NEEDS[major],
            GOBIN=str(folder),
        )

    return cache.entry("helm", cache.digest(package, flags), build) / "helm"


def s3_server() -> Path:
    """The program that serves folders as S3 does, and checks signatures as S3 does; tests keep logs in it.

    Raises:
        ClusterError: If Go is missing or too old, or the build fails.
    """

    def build(folder: Path) -> None:
        _go(
            folder,
            "versitygw, an S3 server",
            "2 minutes on two cores",
            ["install", "-v", "-trimpath", "-ldflags=-s -w", S3_SERVER],
            source=folder,
            needs=_TOOLCHAINS_SINCE,
            GOBIN=str(folder),
        )

    return cache.entry("versitygw", cache.digest(S3_SERVER), build) / "versitygw"


def openapi(version: str) -> Path:
    """The OpenAPI documents that a release of Kubernetes publishes of its API: a folder with a file a group.

    Args:
        version: The release, such as ``"v1.32.13"``, of those that the Go module proxy has.

    Raises:
        ClusterError: If Go is missing or too old, or the release cannot be fetched.
    """

    def build(folder: Path) -> None:
        modules = folder / "modules"  # not the user's own: all but a few files of a hundred megabytes go
        _go(
            folder,
            f"the API's description of Kubernetes {version}",
            "seconds",
            ["mod", "download", "-modcacherw", f"k8s.io/kubernetes@{version}"],
            source=folder,
            needs=_TOOLCHAINS_SINCE,
            GOMODCACHE=str(modules),
        )
        source = modules / "k8s.io" / f"kubernetes@{version}" / "api" / "openapi-spec" / "v3"
        for file in source.glob("*.json"):
            shutil.copy(file, folder)
        shutil.rmtree(modules)

    return cache.entry("openapi", cache.digest(version), build)


def pause() -> Path:
    """The static program that is all there is in the pause image."""
    source = SOURCES / "pause"
    wanted = [(source / name).read_bytes() for name in ("go.mod", "main.go")]

    def build(folder: Path) -> None:
        _go(
            folder,
            "the pause program",
            "seconds",
            ["build", "-trimpath", "-ldflags=-s -w", "-o", str(folder / "pause"), "."],
            source=source,
            needs=_go_line((source / "go.mod").read_text()),
        )

    return cache.entry("pause", cache.digest(*wanted), build) / "pause"


def kubernetes_version() -> str:
    """The release of Kubernetes that is built, such as ``"v1.35.4"``."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (SOURCES / "kube" / "go.mod").read_text())
    if found is None:
        raise ClusterError(f"{SOURCES}/kube/go.mod does not require k8s.io/kubernetes; restore that line.")
    return found[1]


def _link_flags(version: str) -> str:
    """Linker flags that set the version of the programs; without them it is v0.0.0."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    settings = [f"-X {package}.{name}={value}" for package in packages for name, value in values.items()]
    return " ".join(["-s", "-w", *settings])


def _helm_flags(package: str, kubernetes: str) -> str:
    """Linker flags that set the version of helm, and of the Kubernetes that 3 assumes without a cluster."""
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    module = package.partition("/cmd/")[0]
    settings = [f"-X {module}/internal/version.version={package.rpartition('@')[2]}"]
    for assumes in ("pkg/chartutil", "pkg/lint/rules"):
        settings += [f"-X {module}/{assumes}.k8sVersionMajor={major}"]
        settings += [f"-X {module}/{assumes}.k8sVersionMinor={minor}"]
    return " ".join(["-s", "-w", *settings])


def _go_line(go_mod: str) -> tuple[int, int]:
    found = re.search(r"^go (\d+)\.(\d+)", go_mod, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else _TOOLCHAINS_SINCE


def _go(
    folder: Path,
    what: str,
    time: str,
    arguments: list[str],
    *,
    source: Path,
    needs: tuple[int, int],
    **environment: str,
) -> None:
    """Run the go command in `source`; its words go to a log in `folder` and are shown only if it fails."""
    _check_go(needs)
    log = folder / "build.log"
    say(f"building {what}, once; takes {time}")
    with log.open("w") as words, heartbeat(f"building {what}", detail=lambda: _compiled(log)):
        ended = subprocess.run(
            ["go", *arguments],
            cwd=source,
            env={**os.environ, "CGO_ENABLED": "0", **environment},
            stdout=words,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode != 0:
        tail = "\n  ".join(log.read_text().splitlines()[-20:])
        raise ClusterError(
            f"Building {what} failed (go {arguments[0]}, in {source}):\n  {tail}\n"
            "Is the Go module proxy reachable (see `go env GOPROXY`), and is there disk space? "
            "Then try again; what is already compiled is kept."
        )


def _compiled(log: Path) -> str:
    packages = sum(1 for line in log.read_text(errors="replace").splitlines() if not line.startswith("go: "))
    return f"{packages} packages compiled" if packages else ""


def _check_go(needs: tuple[int, int]) -> None:
    wanted = ".".join(map(str, needs))
    advice = f"Install Go {wanted} or later (https://go.dev/doc/install) and put it on PATH, then try again."
    if shutil.which("go") is None:
        raise ClusterError(f"The embedded cluster is built with Go, and no `go` was found on PATH. {advice}")
    ask = ["go", "env", "GOVERSION", "GOTOOLCHAIN"]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
    version, _, toolchain = answer.stdout.partition("\n")
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None:
        return  # A development build of Go; let the build itself judge.
    has = (int(found[1]), int(found[2]))
    fetches_newer = has >= _TOOLCHAINS_SINCE and toolchain.strip() != "local"
    if has < needs and not fetches_newer:
        raise ClusterError(f"The Go on PATH is {version}, too old to build the embedded cluster. {advice}")
