"""The facade's settings, and who may reach it."""

from __future__ import annotations

import os

import pytest

from nightcrawler_api import settings
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.settings import PREFIX


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> settings.Settings:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    return settings.load()


def test_an_empty_environment_serves_the_default_namespace_on_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = load(monkeypatch)
    assert (loaded.namespace, loaded.api_host, loaded.api_port) == ("default", "127.0.0.1", 8080)
    assert (loaded.default_user, loaded.template_workflow, loaded.cors_origins) == ("anonymous", None, ())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_authentication(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert load(monkeypatch, API_HOST=host).api_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_listening_beyond_loopback_takes_many_words(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    if not host:  # an unset value of a chart
        assert load(monkeypatch, API_HOST=host).api_host == "127.0.0.1"
        return
    with pytest.raises(
        ConfigurationError, match=r"NIGHTCRAWLER_ALLOW_UNAUTHENTICATED=true if something else"
    ):
        load(monkeypatch, API_HOST=host)
    assert load(monkeypatch, API_HOST=host, ALLOW_UNAUTHENTICATED="true").api_host == host


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
def test_what_cannot_be_used_is_said_with_what_can(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, **{variable: value})
    assert says in str(caught.value)
