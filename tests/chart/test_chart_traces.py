"""What the chart makes of `traces`: settings, headers from a Secret, ports."""

from __future__ import annotations

from tests.support.chart import manifests, one

COLLECTOR = "http://collector.observability:4318"


def test_without_a_collector_nothing_is_exported() -> None:
    (operator,) = one(manifests(), "Deployment", "nightcrawler-operator")["spec"]["template"]["spec"][
        "containers"
    ]
    assert not [variable for variable in operator["env"] if "OTLP" in variable["name"]]


def test_the_operator_is_told_of_the_collector_and_reads_headers_from_a_secret() -> None:
    values = {"traces": {"endpoint": COLLECTOR, "headersSecretName": "headers", "stepsEndpoint": COLLECTOR}}
    objects = manifests(values)
    (operator,) = one(objects, "Deployment", "nightcrawler-operator")["spec"]["template"]["spec"][
        "containers"
    ]
    variables = {variable["name"]: variable for variable in operator["env"]}
    assert variables["NIGHTCRAWLER_OTLP_ENDPOINT"]["value"] == COLLECTOR
    assert variables["NIGHTCRAWLER_STEPS_OTLP_ENDPOINT"]["value"] == COLLECTOR
    source = variables["NIGHTCRAWLER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]
    assert source == {"name": "headers", "key": "headers"}
    (facade,) = one(objects, "Deployment", "nightcrawler-api")["spec"]["template"]["spec"]["containers"]
    assert not [variable for variable in facade["env"] if "OTLP" in variable["name"]]


def test_the_collector_is_reached_only_if_there_is_one() -> None:
    def ports(endpoint: str) -> set[int]:
        policy = one(manifests({"traces": {"endpoint": endpoint}}), "NetworkPolicy", "nightcrawler-operator")
        return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}

    assert 4318 in ports(COLLECTOR)
    assert 4318 not in ports("")
