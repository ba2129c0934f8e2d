"""What the embedded cluster makes and keeps: certificates, credentials, images, the cache, the choice."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tarfile
import threading
from pathlib import Path

import pytest
from cryptography import x509

from localcluster import (
    ClusterError,
    archive,
    binaries,
    cache,
    certificates,
    choose,
    credentials,
    debian,
    demonstration,
    kind,
)
from localcluster.archive import Image
from localcluster.choose import Embedded, Kind, Named
from localcluster.demonstration import BuildPaths

OURS = Path("/clone/build/kubeconfig")


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nightcrawler"


def test_the_authority_signs_a_certificate_for_every_name(tmp_path: Path) -> None:
    certificates.write(tmp_path, ["localhost", "198.18.0.2"])
    authority, server = (
        x509.load_pem_x509_certificate((tmp_path / name).read_bytes()) for name in ("ca.crt", "server.crt")
    )
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["198.18.0.2"]


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    certificates.write(tmp_path / "pki", ["localhost"])
    assert [file.name for file in (tmp_path / "pki").glob("*.key") if file.stat().st_mode & 0o077] == []


def test_every_user_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = credentials.new_tokens({"jane": ["team-a", "team-b"]}, tmp_path / "tokens.csv")
    rows = {row[1]: row for row in csv.reader((tmp_path / "tokens.csv").read_text().splitlines())}
    assert rows["jane"] == [tokens["jane"], "jane", "jane", "team-a,team-b"]
    assert rows["admin"][3] == "system:masters"
    assert len(set(tokens.values())) == len(tokens) == len(rows)
    assert (tmp_path / "tokens.csv").stat().st_mode & 0o077 == 0


def test_an_image_is_what_its_digests_say(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as content:
        archive.add_bytes(content, "bin/hello", b"hello", 0o755)
    image = Image("docker.io/library/hello:1", command=["/bin/hello"], environment={"LANG": "C"})
    archive.write(image, layer, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as written:
        (manifest,) = json.loads(written.extractfile("manifest.json").read())  # type: ignore[union-attr]
        configuration = json.loads(written.extractfile(manifest["Config"]).read())  # type: ignore[union-attr]
        packed = written.extractfile(manifest["Layers"][0]).read()  # type: ignore[union-attr]
    assert manifest["RepoTags"] == ["docker.io/library/hello:1"]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(packed).hexdigest()}"]
    assert configuration["config"]["Cmd"] == ["/bin/hello"]
    assert "LANG=C" in configuration["config"]["Env"]


def test_a_cache_entry_is_built_once_by_two_concurrent_callers(empty_cache: Path) -> None:
    made = []

    def build(folder: Path) -> None:
        made.append(folder)
        (folder / "content").write_text("whole")

    both = [threading.Thread(target=cache.entry, args=("thing", "key", build)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(made) == 1
    assert (empty_cache / "thing-key" / "content").read_text() == "whole"


def test_a_build_that_fails_leaves_nothing(empty_cache: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").touch()
        raise ClusterError("no")

    with pytest.raises(ClusterError):
        cache.entry("thing", "key", build)
    assert [path.name for path in empty_cache.iterdir()] == ["thing.lock"]


def test_leftovers_of_a_killed_build_are_removed_by_the_next(empty_cache: Path) -> None:
    (empty_cache / ".thing-abandoned").mkdir(parents=True)
    cache.entry("thing", "key", lambda _: None)
    assert {path.name for path in empty_cache.iterdir()} == {"thing.lock", "thing-key"}


def test_a_digest_depends_on_where_one_part_ends() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")
    assert cache.digest("ab", b"c") == cache.digest(b"ab", "c")


def test_without_go_the_error_says_to_install_it(bin_folder: Path, empty_cache: Path) -> None:
    assert list(bin_folder.iterdir()) == []
    with pytest.raises(ClusterError, match=r"no `go` was found on PATH. Install Go 1\.\d+ or later"):
        binaries.kube()
    assert not list(empty_cache.glob("kube-*"))


@pytest.mark.parametrize("answer", [r"go1.19.8\n", r"go1.24.1\nlocal"])
@pytest.mark.usefixtures("empty_cache")
def test_a_go_that_is_too_old_is_named(bin_folder: Path, answer: str) -> None:
    program(bin_folder, "go", f"printf '{answer}'")
    with pytest.raises(ClusterError, match=r"The Go on PATH is go1\.\d+\.\d, too old"):
        binaries.kube()


@pytest.mark.usefixtures("empty_cache")
def test_a_build_that_fails_shows_what_go_said(bin_folder: Path) -> None:
    program(bin_folder, "go", '[ "$1" = env ] && printf "go1.99.0\\nlocal" || { echo no disk left; exit 1; }')
    with pytest.raises(ClusterError, match=r"(?s)the pause program failed.*no disk left.*try again"):
        binaries.pause()


def test_the_version_is_the_one_that_the_module_requires() -> None:
    module = (binaries.SOURCES / "kube" / "go.mod").read_text()
    assert f"k8s.io/kubernetes {binaries.kubernetes_version()}\n" in module


@pytest.mark.usefixtures("bin_folder")
def test_missing_packages_are_named_where_there_is_no_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "SYSTEM_PATH", "/nowhere")
    with pytest.raises(ClusterError, match=r"containerd iproute2 nftables runc util-linux.*--no-node"):
        debian.ensure(debian.NODE)


def unasked() -> bool:
    raise AssertionError("the Docker engine was asked although it does not matter")


def test_the_cluster_that_the_user_names_comes_first() -> None:
    assert choose.choose({"NIGHTCRAWLER_KUBECONFIG": "/etc/mine"}, unasked, OURS) == Named(Path("/etc/mine"))


def test_kind_is_taken_only_where_an_engine_answers() -> None:
    assert choose.choose({}, lambda: True, OURS) == Kind()
    assert choose.choose({"NIGHTCRAWLER_KUBECONFIG": ""}, lambda: False, OURS) == Embedded()


def test_the_kubeconfig_written_by_up_names_no_other_cluster() -> None:
    assert choose.choose({"NIGHTCRAWLER_KUBECONFIG": str(OURS)}, lambda: False, OURS) == Embedded()


@pytest.mark.parametrize(
    ("script", "answers"),
    [("echo 27.1.0", True), ("echo Cannot connect to the Docker daemon >&2; exit 1", False), ("true", False)],
)
def test_a_docker_client_alone_is_no_engine(bin_folder: Path, script: str, answers: bool) -> None:
    program(bin_folder, "docker", script)
    assert kind.engine_answers() is answers


@pytest.mark.usefixtures("bin_folder")
def test_without_docker_no_engine_is_found() -> None:
    assert not kind.engine_answers()


@pytest.mark.usefixtures("bin_folder")
def test_an_engine_without_kind_is_refused_with_three_alternatives(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"go install .*NIGHTCRAWLER_KUBECONFIG.*--embedded"):
        kind.up(tmp_path / "kubeconfig")


def test_kind_makes_the_cluster_only_once(bin_folder: Path, tmp_path: Path) -> None:
    calls, there = tmp_path / "calls", tmp_path / "there"
    program(
        bin_folder,
        "kind",
        f"""echo "$1 $2" >> {calls}
        [ "$1" = create ] && : > {there}
        [ "$1" = get ] && [ -e {there} ] && echo nightcrawler
        true""",
    )
    for _ in range(2):
        kind.up(tmp_path / "kubeconfig")
    assert calls.read_text().splitlines() == [
        *("get clusters", "create cluster", "export kubeconfig"),
        *("get clusters", "export kubeconfig"),
    ]


def test_a_named_cluster_is_linked_and_left_alone(tmp_path: Path) -> None:
    named, paths = tmp_path / "mine", BuildPaths(tmp_path / "build")
    named.write_text("theirs")
    demonstration.up_named(paths, named)
    assert paths.kubeconfig.read_text() == "theirs"
    demonstration.down(paths)
    assert named.read_text() == "theirs"
    assert not os.path.lexists(paths.kubeconfig)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="is no file"):
        demonstration.up_named(BuildPaths(tmp_path), tmp_path / "missing")
