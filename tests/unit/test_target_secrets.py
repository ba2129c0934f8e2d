"""The Secrets with targets: read only if wanted, as the kubelet mounts them, and followed as they change."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import msgspec
import pytest

from nightcrawler_crds import names
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.noticeviews import SecretView
from nightcrawler_crds.kube.store import Store
from nightcrawler_operator.cluster import targets as module
from nightcrawler_operator.cluster.targets import Folder, TargetSecrets
from tests.support.virtualtime import virtual_time


def mount(folder: Path, version: str, **values: str) -> None:
    """Write a Secret as the kubelet does: a folder for each version, and links that are exchanged."""
    data = folder / f"..{version}"
    data.mkdir(parents=True)
    for key, value in values.items():
        (data / key.replace("_", "-")).write_text(value)
        link = folder / key.replace("_", "-")
        if not link.is_symlink():
            link.symlink_to(Path("..data") / link.name)
    current = folder / "..data"
    current.unlink(missing_ok=True)
    current.symlink_to(data.name)


def a_secret(**values: str) -> SecretView:
    data = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": names.NOTIFICATIONS_SECRET, "namespace": "team", "uid": "u", "resourceVersion": "5"}
    return msgspec.convert({"metadata": metadata, "data": data}, SecretView, strict=False)


def secrets(folder: Path | None, changes: list[str], *, namespaced: bool = True) -> TargetSecrets:
    store = Store(Connection(Identity("http://localhost:1"), "test"))
    return TargetSecrets(store, "", folder=folder, namespaced=namespaced, on_change=changes.append)


def test_a_mounted_secret_is_read_and_a_rotated_one_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(tmp_path, "1", slack_webhook_url="https://a.example\n")
    folder = Folder(tmp_path)
    values = folder.values()
    assert values is not None
    assert values.text("slack-webhook-url") == "https://a.example"
    mount(tmp_path, "2", slack_webhook_url="https://b.example")
    assert folder.values() == values, "no file is read for each message"
    monkeypatch.setattr(module, "_FRESH", 0.0)
    rotated = folder.values()
    assert rotated is not None
    assert rotated.text("slack-webhook-url") == "https://b.example"


@pytest.mark.parametrize("path", [None, Path("/nowhere/at/all")])
def test_a_folder_that_is_not_there_is_no_secret(path: Path | None) -> None:
    assert Folder(path).values() is None


def test_a_value_that_is_no_text_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "slack-webhook-url").write_bytes(b"\xff\xfe")
    values = Folder(tmp_path).values()
    assert values is not None
    assert values.text("slack-webhook-url") == ""


async def test_targets_are_unknown_until_the_namespaces_secrets_were_listed(tmp_path: Path) -> None:
    mount(tmp_path, "1", slack_webhook_url="https://a.example")
    changes: list[str] = []
    found = secrets(tmp_path, changes)
    assert found.of("team") is None
    assert found.channels("team") is None
    assert found.informer is not None
    found.informer.cache.upsert(a_secret(webhook_url="https://own.example", webhook_secret="x" * 44))
    found.informer.synced.set()
    assert found.channels("team") == frozenset({"slack", "webhook"})
    assert found.channels("other") == frozenset({"slack"})
    assert changes == [], "what is listed first is no change"
    found.informer.cache.upsert(
        msgspec.structs.replace(
            a_secret(), metadata=msgspec.structs.replace(a_secret().metadata, resource_version="6")
        )
    )
    assert changes == ["team"]
    assert found.channels("team") == frozenset({"slack"})


async def test_without_namespaces_own_secrets_nothing_is_listed(tmp_path: Path) -> None:
    mount(tmp_path, "1", slack_webhook_url="https://a.example")
    found = secrets(tmp_path, [], namespaced=False)
    assert found.informer is None
    assert found.channels("team") == frozenset({"slack"})


@virtual_time
async def test_a_change_of_the_installations_secret_is_noticed_once_somebody_wants_messages() -> None:
    changes: list[str] = []
    values = iter(["a", "a", "b", "b", "b"])
    found = secrets(None, changes, namespaced=False)
    found._folder.values = lambda: next(values, "b")  # type: ignore[method-assign, assignment, return-value]
    running = asyncio.create_task(found.run())
    await asyncio.sleep(100)
    assert changes == []
    found.want()
    await asyncio.sleep(100)
    assert changes == [""]
    running.cancel()
