"""Settings: what the environment may say, and the sentence it gets when it says something else."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from nightcrawler_crds import settings as common
from nightcrawler_crds.election.death import Container
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.namespaces import Namespaces
from nightcrawler_crds.validation.podtemplate import PodPolicy, Power
from nightcrawler_crds.variables import PREFIX, accepted
from nightcrawler_crds.words import Bytes, Cpu
from nightcrawler_operator import settings
from nightcrawler_operator.limits import Limits


class Environment:
    """An environment that has only the settings a test gives it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        for name in list(os.environ):
            if name.upper().startswith(PREFIX):
                monkeypatch.delenv(name)

    def load(self, **variables: str) -> settings.Settings:
        for name, value in variables.items():
            self._monkeypatch.setenv(PREFIX + name, value)
        return settings.load()

    def refusal(self, **variables: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self.load(**variables)
        return str(caught.value)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    return Environment(monkeypatch)


def test_an_empty_environment_gives_the_limits_their_defaults(environment: Environment) -> None:
    assert environment.load().limits == Limits()


# A setting, a value of it, the limit that it sets, and what the limit then is.
LIMITS: Final = (
    ("QUEUE_TIMEOUT", "1 hour", "queue_timeout", 3600),
    ("DEFAULT_TIMEOUT", "2 hours", "default_timeout", 7200),
    ("DEFAULT_RETRY_DELAY", "0", "default_retry_delay", 0),
    ("IMAGE_PULL_TIMEOUT", "3 minutes", "image_pull_timeout", 180),
    ("MISSING_CONFIG_GRACE", "4s", "missing_config_grace", 4),
    ("MISSING_RIGHTS_GRACE", "10s", "missing_rights_grace", 10),
    ("WORKFLOW_NOT_FOUND_GRACE", "5", "workflow_grace", 5),
    ("JOB_CLEANUP_AFTER", "6m", "job_cleanup_after", 360),
    ("FAILED_JOB_CLEANUP_AFTER", "2h", "failed_job_cleanup_after", 7200),
    ("CANCEL_GRACE", "7 seconds", "cancel_grace", 7),
    ("STATUS_WINDOW", "500ms", "status_window", 0.5),
    ("STATUS_SPACING", "6", "status_spacing", 6),
    ("ENVIRONMENT_STATUS_SPACING", "8", "environment_status_spacing", 8),
    ("MAX_DISRUPTIONS", "8", "max_disruptions", 8),
    ("DUTY_TIMEOUT", "30m", "duty_timeout", 1800),
    ("ARCHIVE_TIMEOUT", "2 days", "archive_timeout", 172_800),
    ("MAX_OWING_RUNS", "7", "max_owing_runs", 7),
    ("DEFAULT_TIME_ZONE", "Europe/Berlin", "default_time_zone", "Europe/Berlin"),
    ("CATCH_UP_MOST", "20", "catch_up_most", 20),
    ("HISTORY_COMPLETED", "9", "history_completed", 9),
    ("HISTORY_FAILED", "0", "history_failed", 0),
    ("DEFAULT_CPU", "250m", "default_cpu", Cpu(250)),
    ("DEFAULT_MEMORY", "128 MB", "default_memory", Bytes(128_000_000)),
    ("MAX_RUNNING", "100", "max_running", 100),
    ("MAX_RUNNING_PER_NAMESPACE", "10", "max_running_per_namespace", 10),
    ("MAX_RUNNING_IN", "vision = 20,nightly=5", "max_running_in", {"vision": 20, "nightly": 5}),
    ("PRIORITY_CLASS_PREFIX", "nc-", "priority_class_prefix", "nc-"),
    ("STORAGE_CLASS", "fast", "storage_class", "fast"),
    ("STORAGE_ACCESS_MODE", "ReadWriteMany", "storage_access_mode", "ReadWriteMany"),
    ("STORAGE_FS_GROUP", "0", "storage_fs_group", 0),
    ("MASK_SECRETS", "true", "mask_secrets", True),
    ("OTLP_ENDPOINT", "http://collector:4318", "exports_traces", True),
    ("STEPS_OTLP_ENDPOINT", "https://collector", "steps_otlp_endpoint", "https://collector"),
    ("ALLOW_HOST_PATH", "true", "pod_policy", PodPolicy(allow_host_path=True)),
)


def test_every_number_reaches_the_limits(environment: Environment) -> None:
    kept = {"KEEP": "archive,logs", "NAMESPACE": "team", "NAMESPACES": "vision, nightly"}
    loaded = environment.load(**kept, **{setting: text for setting, text, _, _ in LIMITS})
    wanted: dict[str, Any] = {field: value for _, _, field, value in LIMITS}
    there = Namespaces(frozenset(("team", "vision", "nightly")))
    assert loaded.limits == Limits(archived=there, logged=there, **wanted)
    as_by_default = [
        f.name for f in fields(Limits) if getattr(loaded.limits, f.name) == getattr(Limits(), f.name)
    ]
    assert not as_by_default, "a limit without a setting here may be one that no setting reaches"


@pytest.mark.parametrize("switch", [power.value for power in Power])
def test_each_switch_allows_what_it_names_and_no_more(environment: Environment, switch: str) -> None:
    allowed: dict[str, Any] = {switch: True}
    assert environment.load(**{switch.upper(): "yes"}).pod_policy == PodPolicy(**allowed)


def test_the_pod_security_level_of_steps_is_part_of_the_policy(environment: Environment) -> None:
    assert environment.load().pod_policy.level == "privileged"
    assert environment.load(STEPS_POD_SECURITY="Restricted").pod_policy.level == "restricted"


def test_an_unknown_pod_security_level_is_refused(environment: Environment) -> None:
    said = environment.refusal(STEPS_POD_SECURITY="strict")
    assert "'strict' cannot be used. Accepted: privileged or baseline or restricted." in said


@pytest.mark.parametrize("level", ["baseline", "restricted"])
@pytest.mark.parametrize("switch", ["host_namespaces", "host_ports", "host_path", "privileged"])
def test_what_a_pod_security_level_forbids_cannot_be_allowed(
    environment: Environment, level: str, switch: str
) -> None:
    name = f"ALLOW_{switch.upper()}"
    said = environment.refusal(STEPS_POD_SECURITY=level, **{name: "true"})
    assert said == (
        f"NIGHTCRAWLER_{name} is true, and NIGHTCRAWLER_STEPS_POD_SECURITY is {level}: Pods of that level "
        f"may not have what it allows. Leave NIGHTCRAWLER_{name} out, or set "
        "NIGHTCRAWLER_STEPS_POD_SECURITY=privileged."
    )


@pytest.mark.parametrize("switch", ["service_account", "direct_volumes", "node_name", "priority_class"])
def test_what_no_level_restricts_can_be_allowed_under_each(environment: Environment, switch: str) -> None:
    loaded = environment.load(STEPS_POD_SECURITY="restricted", **{f"ALLOW_{switch.upper()}": "true"})
    assert getattr(loaded.pod_policy, f"allow_{switch}")


def test_none_requests_nothing(environment: Environment) -> None:
    assert environment.load(DEFAULT_CPU="None", DEFAULT_MEMORY="none").limits == Limits()


def test_an_empty_variable_counts_as_unset(environment: Environment) -> None:
    loaded = environment.load(KUBECONFIG="", WATCH_NAMESPACE="", WORKERS="", LEASE_DURATION="")
    assert (loaded.kubeconfig, loaded.watch_namespace, loaded.workers, loaded.lease_duration) == (
        None,
        "",
        16,
        15,
    )


def test_a_tilde_in_the_kubeconfig_is_the_home_folder(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert environment.load(KUBECONFIG="~/config").kubeconfig == Path("/home/somebody/config")


def test_the_lease_is_in_the_namespace_of_the_pod(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounted = tmp_path / "namespace"
    monkeypatch.setattr(common, "_NAMESPACE_FILE", mounted)
    assert environment.load().lease_namespace == "default"
    mounted.write_text("ops\n")
    assert environment.load().lease_namespace == "ops"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "WORKERS",
            "many",
            "NIGHTCRAWLER_WORKERS 'many' cannot be used. Accepted: a whole number from 1 to 256.",
        ),
        ("WORKERS", "0", "NIGHTCRAWLER_WORKERS '0' cannot be used. Accepted: a whole number from 1 to 256."),
        (
            "PROBE_PORT",
            "65536",
            "NIGHTCRAWLER_PROBE_PORT '65536' cannot be used. Accepted: a whole number from 0",
        ),
        (
            "LEADER_ELECTION",
            "perhaps",
            "NIGHTCRAWLER_LEADER_ELECTION 'perhaps' cannot be used. Accepted: true or",
        ),
        (
            "MAX_RUNNING",
            "0",
            "NIGHTCRAWLER_MAX_RUNNING '0' cannot be used. Accepted: a whole number from 1 to 1000000.",
        ),
        *(
            (
                "MAX_RUNNING_IN",
                written,
                f"NIGHTCRAWLER_MAX_RUNNING_IN {written!r} cannot be used. Accepted: namespaces with the",
            )
            for written in ("vision", "vision=0", "Vision=2", "vision=2,", "a=1;b=2")
        ),
        ("LOG_FORMAT", "xml", "NIGHTCRAWLER_LOG_FORMAT 'xml' cannot be used. Accepted: text or json."),
        (
            "WATCH_NAMESPACE",
            "A_b",
            "NIGHTCRAWLER_WATCH_NAMESPACE 'A_b' cannot be used. Accepted: a DNS label",
        ),
        (
            "QUEUE_TIMEOUT",
            "a while",
            "NIGHTCRAWLER_QUEUE_TIMEOUT 'a while' cannot be used: it is not understood.",
        ),
        ("QUEUE_TIMEOUT", "0s", "NIGHTCRAWLER_QUEUE_TIMEOUT must be longer than 0 seconds."),
        ("DEFAULT_CPU", "5M", "NIGHTCRAWLER_DEFAULT_CPU: cpu '5M' cannot be used"),
        ("DEFAULT_MEMORY", "64 apples", "NIGHTCRAWLER_DEFAULT_MEMORY: memory '64 apples' cannot be used"),
    ],
)
def test_a_refusal_names_the_variable_its_value_and_the_accepted_form(
    environment: Environment, name: str, value: str, sentence: str
) -> None:
    said = environment.refusal(**{name: value})
    assert said.startswith(sentence)
    assert "\n" not in said


def test_every_variable_that_is_wrong_is_named_at_once(environment: Environment) -> None:
    said = environment.refusal(WORKERS="-1", CANCEL_GRACE="soon").splitlines()
    assert [line.split()[0] for line in said] == ["NIGHTCRAWLER_WORKERS", "NIGHTCRAWLER_CANCEL_GRACE"]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (
            {"LEASE_DURATION": "10"},
            ("NIGHTCRAWLER_LEASE_DURATION (10 s)", "NIGHTCRAWLER_RENEW_DEADLINE (10 s)"),
        ),
        ({"RETRY_PERIOD": "9"}, ("NIGHTCRAWLER_RENEW_DEADLINE (10 s)", "NIGHTCRAWLER_RETRY_PERIOD (9 s)")),
    ],
)
def test_times_of_the_lease_that_contradict_each_other_are_refused(
    environment: Environment, variables: dict[str, str], named: tuple[str, ...]
) -> None:
    said = environment.refusal(**variables)
    assert all(name in said for name in named)


def test_settings_do_not_change(environment: Environment) -> None:
    loaded = environment.load()
    with pytest.raises(ValidationError, match="frozen"):
        loaded.workers = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", list(settings.Settings.model_fields))
def test_every_setting_is_explained(name: str) -> None:
    field = settings.Settings.model_fields[name]
    assert (field.description or "").endswith(".")
    assert accepted(field)


def test_the_container_is_known_once_all_its_variables_are_set(environment: Environment) -> None:
    assert environment.load(POD_NAME="operator-1", POD_UID="u1").container is None
    found = environment.load(POD_NAMESPACE="ops", CONTAINER_NAME="operator").container
    assert found == Container(namespace="ops", pod="operator-1", pod_uid="u1", name="operator")


def test_outside_of_a_pod_there_is_no_container(environment: Environment) -> None:
    assert environment.load().container is None


@pytest.mark.parametrize(
    ("given", "there", "not_there"),
    [
        ({}, ["team"], ["vision", "nightcrawler"]),
        ({"NAMESPACES": "vision, team"}, ["team", "vision"], ["nightcrawler"]),
        ({"NAMESPACES": "*"}, ["team", "vision"], ["nightcrawler"]),
        ({"NAMESPACES": " * ", "ALLOW_OWN_NAMESPACE": "true"}, ["team", "vision", "nightcrawler"], []),
    ],
)
def test_the_operator_knows_of_which_runs_the_facade_keeps_something(
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    given: dict[str, str],
    there: list[str],
    not_there: list[str],
) -> None:
    mounted = tmp_path / "namespace"
    mounted.write_text("nightcrawler")
    monkeypatch.setattr(common, "_NAMESPACE_FILE", mounted)
    limits = environment.load(KEEP="archive", NAMESPACE="team", **given).limits
    assert [place for place in (*there, *not_there) if place in limits.archived] == there
    assert "team" not in limits.logged
