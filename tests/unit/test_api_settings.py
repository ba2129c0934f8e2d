"""The facade's settings, and who may reach it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightcrawler_api import settings
from nightcrawler_crds import settings as common
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.variables import PREFIX


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> settings.Settings:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    return settings.load()


def test_an_empty_environment_serves_a_namespace_of_its_own_on_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = load(monkeypatch)
    assert (loaded.namespace, loaded.api_host, loaded.api_port) == (
        "nightcrawler-workflows",
        "127.0.0.1",
        8080,
    )
    assert (loaded.default_user, loaded.template_workflow, loaded.cors_origins) == ("anonymous", None, ())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_authentication(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert load(monkeypatch, API_HOST=host).api_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_listening_beyond_loopback_needs_a_setting_that_allows_it(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    if not host:  # an unset value of a chart
        assert load(monkeypatch, API_HOST=host).api_host == "127.0.0.1"
        return
    with pytest.raises(
        ConfigurationError, match=r"NIGHTCRAWLER_ALLOW_UNAUTHENTICATED=true if something else"
    ):
        load(monkeypatch, API_HOST=host)
    assert load(monkeypatch, API_HOST=host, ALLOW_UNAUTHENTICATED="true").api_host == host


def test_the_installations_own_namespace_is_served_only_if_requested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounted = tmp_path / "namespace"
    mounted.write_text("nightcrawler\n")
    monkeypatch.setattr(common, "_NAMESPACE_FILE", mounted)
    assert load(monkeypatch).namespace == "nightcrawler-workflows"
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, NAMESPACE="nightcrawler")
    assert str(caught.value).startswith("NIGHTCRAWLER_NAMESPACE 'nightcrawler' is the namespace that this")
    assert "NIGHTCRAWLER_ALLOW_OWN_NAMESPACE=true" in str(caught.value)
    assert load(monkeypatch, NAMESPACE="nightcrawler", ALLOW_OWN_NAMESPACE="true").namespace == "nightcrawler"


def test_a_pod_in_the_usual_namespace_of_workflows_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounted = tmp_path / "namespace"
    mounted.write_text("nightcrawler-workflows")
    monkeypatch.setattr(common, "_NAMESPACE_FILE", mounted)
    with pytest.raises(ConfigurationError, match="is the namespace that this facade runs in"):
        load(monkeypatch)


def test_idle_connections_stay_open_longer_than_those_of_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch).keep_alive == 75
    assert load(monkeypatch, KEEP_ALIVE="620 seconds").keep_alive == 620
    with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_KEEP_ALIVE must be longer than 0 seconds"):
        load(monkeypatch, KEEP_ALIVE="0")


def test_origins_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(monkeypatch, CORS_ORIGINS="https://a.example, http://localhost:3000,")
    assert loaded.cors_origins == ("https://a.example", "http://localhost:3000")
    assert load(monkeypatch, CORS_ORIGINS="*").cors_origins == ("*",)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (
            "CORS_ORIGINS",
            "https://a.example/",
            "NIGHTCRAWLER_CORS_ORIGINS 'https://a.example/' cannot be used",
        ),
        ("CORS_ORIGINS", "a.example", "origins such as https://dashboard.example.com"),
        (
            "API_PORT",
            "http",
            "NIGHTCRAWLER_API_PORT 'http' cannot be used. Accepted: a whole number from 0 to 65535",
        ),
        ("API_PORT", "65536", "a whole number from 0 to 65535"),
        ("NAMESPACE", "No_Such", "NIGHTCRAWLER_NAMESPACE 'No_Such' cannot be used. Accepted: a DNS label"),
        ("TEMPLATE_WORKFLOW", "x" * 41, "NIGHTCRAWLER_TEMPLATE_WORKFLOW"),
        ("DEFAULT_TIMEOUT", "soon", "NIGHTCRAWLER_DEFAULT_TIMEOUT 'soon' cannot be used"),
        ("DEFAULT_CPU", "many", "NIGHTCRAWLER_DEFAULT_CPU"),
        ("LOG_FORMAT", "xml", "Accepted: text or json"),
    ],
)
def test_bad_values_are_refused_with_the_accepted_ones(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, **{variable: value})
    assert says in str(caught.value)


def test_an_archive_needs_a_database_and_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_ARCHIVE_URL names no database"):
        load(monkeypatch, KEEP="archive")
    for url in ("mysql://me:secret@host/db", "sqlite://relative.db", "postgresql://me:secret@host", "secret"):
        with pytest.raises(ConfigurationError) as caught:
            load(monkeypatch, KEEP="archive", ARCHIVE_URL=url)
        assert "secret" not in str(caught.value)
        assert "Accepted: sqlite:////" in str(caught.value)
    loaded = load(monkeypatch, ARCHIVE_URL="postgresql://me:secret@host/db")
    assert loaded.archives
    assert ":secret" not in repr(loaded)  # and not mask_secrets


def test_only_what_can_be_kept_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load(monkeypatch).archives
    with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_KEEP 'logz' cannot be used"):
        load(monkeypatch, KEEP="archive, logz", ARCHIVE_URL="sqlite:////a.db")


def test_kept_logs_need_a_store_and_amounts_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_LOG_URL names no store"):
        load(monkeypatch, KEEP="logs")
    for url in ("/a/folder", "s3:///prefix", "ftp://host/logs"):
        with pytest.raises(ConfigurationError, match="Accepted: file:///path/of/a/folder"):
            load(monkeypatch, LOG_URL=url)
    loaded = load(monkeypatch, LOG_URL="s3://bucket/prefix", LOG_BYTES="16 MB", LOG_TOTAL_BYTES="1Ti")
    assert (loaded.keeps_logs, loaded.log_bytes, loaded.log_total_bytes) == (True, 16_000_000, 1 << 40)
    for amount in ("some", "1Ki", "None"):
        with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_LOG_BYTES"):
            load(monkeypatch, LOG_BYTES=amount)
