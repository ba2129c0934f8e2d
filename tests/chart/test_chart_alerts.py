"""Alerts speak of metrics that there are, with the labels that they have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr

from nightcrawler_api.app import create_app
from nightcrawler_api.settings import Settings
from nightcrawler_crds.election.leadership import SoleLeader
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.lanes import Lane, Lanes
from nightcrawler_operator.telemetry import Telemetry
from tests.chart.test_chart_callers import OIDC
from tests.support.chart import CHART, Values, manifests, of, one

_APIS = ("monitoring.coreos.com/v1",)
_MONITORED = {"monitoring": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}}
_ON = {**_MONITORED, "callers": OIDC}


def rules(values: Values = _ON) -> dict[str, Any]:
    (made,) = of(manifests(values, apis=_APIS), "PrometheusRule")
    return {rule["alert"]: rule for group in made["spec"]["groups"] for rule in group["rules"]}


async def offered(folder: Path) -> set[str]:
    """The names of all metrics that the two processes offer."""
    store = Store(Connection(Identity("http://localhost"), "test"))
    telemetry = Telemetry()
    leadership = SoleLeader(on_started=lambda: None, on_stopped=lambda: None)
    telemetry.register_gauges(
        Lanes(lambda _: Lane.PEOPLE), leadership, ClusterState(store, "", lambda _: None)
    )
    settings = Settings(
        keep=("archive", "logs"),
        archive_url=SecretStr("sqlite:////nowhere/archive.db"),
        log_url=folder.as_uri(),
        identity="oidc",
        oidc_issuer="https://login.example.com",
        oidc_audiences=("nightcrawler",),
        teams_file=folder / "teams.yaml",
    )
    (folder / "teams.yaml").write_text("{}")
    facade = create_app(settings, store).state.facade
    facade.kept.keeper.working = True
    text = generate_latest(telemetry.registry) + generate_latest(facade.metrics.registry)
    return set(re.findall(r"^# TYPE (\w+) ", text.decode(), re.MULTILINE))


def dashboard() -> dict[str, Any]:
    made = one(
        manifests({"monitoring": {"dashboard": {"enabled": True}}}), "ConfigMap", "nightcrawler-dashboard"
    )
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    shown: dict[str, Any] = json.loads(made["data"]["nightcrawler.json"])
    return shown


async def test_the_dashboard_shows_metrics_that_exist(tmp_path: Path) -> None:
    there = await offered(tmp_path)
    there |= {f"{name}_bucket" for name in there}  # of histograms
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            metrics = re.findall(r"(\w+)\{([^}]*)\}", target["expr"])
            assert metrics, panel["title"]
            for name, selector in metrics:
                assert name in there, panel["title"]
                assert selector.startswith('namespace="$namespace"'), panel["title"]
            assert len(metrics) == len(re.findall(r"nightcrawler_\w+|process_\w+", target["expr"]))


def test_panels_of_the_dashboard_differ_and_say_what_they_show() -> None:
    panels = dashboard()["panels"]
    for field in ("id", "title"):
        assert len({panel[field] for panel in panels}) == len(panels)
    assert all(panel["description"].endswith(".") for panel in panels)


async def test_alerts_use_metrics_that_exist(tmp_path: Path) -> None:
    there = await offered(tmp_path)
    for name, rule in rules().items():
        metrics = set(re.findall(r"nightcrawler_\w+", rule["expr"]))
        assert metrics, name
        assert metrics <= there, name


def test_alerts_look_at_this_release_alone_and_say_what_to_do() -> None:
    found = rules()
    assert {
        "NightcrawlerOperatorAbsent",
        "NightcrawlerOperatorQueueStuck",
        "NightcrawlerOperatorReconcileErrors",
        "NightcrawlerFacadeStale",
    } <= found.keys()
    for name, rule in found.items():
        selectors = re.findall(r"nightcrawler_\w+(\{[^}]*\})?", rule["expr"])
        assert all('namespace="nightcrawler"' in selector for selector in selectors), name
        assert rule["for"], name
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["annotations"]["summary"].endswith("."), name
        assert "{{" not in rule["annotations"]["summary"] or "$" in rule["annotations"]["summary"], name


@pytest.mark.parametrize(
    ("callers", "expected"),
    [
        ({}, set()),
        ({"mode": "kubernetes"}, {"NightcrawlerTeamsFileBroken"}),
        (OIDC, {"NightcrawlerTeamsFileBroken", "NightcrawlerIdentityProviderAway"}),
    ],
    ids=["none", "kubernetes", "oidc"],
)
def test_alerts_about_callers_are_of_their_mode(callers: Values, expected: set[str]) -> None:
    without = rules({**_MONITORED, "callers": {"mode": "none"}})
    assert rules({**_MONITORED, "callers": callers}).keys() - without.keys() == expected


def test_the_service_monitor_finds_both_services() -> None:
    objects = manifests(_ON, apis=_APIS)
    (monitor,) = of(objects, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    for service in of(objects, "Service"):
        assert wanted <= service["metadata"]["labels"].items()
    ports = {port["name"] for service in of(objects, "Service") for port in service["spec"]["ports"]}
    assert ports == {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}


def test_each_alert_is_explained_in_the_guide() -> None:
    guide = (CHART.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Nightcrawler\w+)` \|", guide, re.MULTILINE) == list(rules())
