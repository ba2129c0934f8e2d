"""What the image is made of, and who gets it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from container import __main__ as command
from container import build
from localcluster import ClusterError
from localcluster.demonstration import BuildPaths


def test_what_the_dockerfile_copies_is_what_the_build_context_has() -> None:
    dockerfile = (build.ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    tops = {name for line in copied for name in line.split()}
    there = {str(path.relative_to(build.ROOT)) for path in build.sources()}
    assert {
        path for path in there if not any(path == top or path.startswith(f"{top}/") for top in tops)
    } == set()
    assert {
        top for top in tops if not any(path == top or path.startswith(f"{top}/") for path in there)
    } == set()


def test_nothing_but_sources_gets_into_the_build() -> None:
    assert {path.suffix for path in build.sources()} <= {".py", ".typed", ".toml", ""}
    assert not [path for path in build.sources() if "tests" in path.parts]


def test_only_files_on_the_list_count_and_bytecode_never_does(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("# Comment\n*\n!one.txt\n!kept\n**/__pycache__\n")
    for name in ("one.txt", "two.txt", "kept/a.py", "kept/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in build.sources(tmp_path)] == [
        "kept/a.py",
        "one.txt",
    ]


def test_the_image_of_a_cluster_that_somebody_names_is_theirs_to_push(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="Push what `make images` has built to the registry that they use"):
        command.load(BuildPaths(tmp_path), {"NIGHTCRAWLER_KUBECONFIG": "/home/jane/.kube/config"})


def test_without_a_running_cluster_the_image_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no Docker, so no kind
    with pytest.raises(ClusterError, match="start one with `make cluster-up`"):
        command.load(BuildPaths(tmp_path), {})
