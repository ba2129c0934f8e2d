"""A program that tells its password, with `secureSecrets` and an installation that masks Secrets."""

from __future__ import annotations

import base64
import json
from typing import Final

import pytest

from tests.support.builders import a_workflow
from tests.support.real_node import Installation, Run, shell

pytestmark = pytest.mark.real_node

PASSWORD: Final = "correct horse/battery"
_ENCODED: Final = base64.b64encode(PASSWORD.encode()).decode()
_PROGRAM: Final = """
echo "the password is $PASSWORD"
echo "ERROR in base64: $(printf %s "$PASSWORD" | base64)"
cat /credentials/password; echo
echo "no access with $PASSWORD" > /dev/termination-log
exit 1
"""


@pytest.fixture(scope="module")
def run(here: Installation) -> Run:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "granted"},
        "stringData": {"password": PASSWORD},
    }
    here.apply(secret)
    mount = {"containers": [{"name": "step", "volumeMounts": [{"name": "c", "mountPath": "/credentials"}]}]}
    variable = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "granted", "key": "password"}}}
    workflow = a_workflow("tells", config={"security": {"secureSecrets": True}}).step(
        "Tell",
        command=shell(_PROGRAM),
        env=[variable],
        pod={"spec": {"volumes": [{"name": "c", "secret": {"secretName": "granted"}}], **mount}},
    )
    return here.launch(workflow)["tells"]


def test_its_values_are_in_no_status_no_event_and_no_log_that_the_facade_shows(
    here: Installation, run: Run
) -> None:
    status = run.ended()
    assert status["message"] == "step 'Tell' ended with exit code 1: no access with ***"
    path = f"/api/workflows/tells/executions/{run.name}"
    json_log = here.http.get(f"{path}/logs", params={"step": "Tell"}).json()
    assert [(line["level"], line["message"]) for line in json_log["logs"]] == [
        ("info", "the password is ***"),
        ("error", "ERROR in base64: ***"),
        ("info", "***"),
    ]
    text = here.http.get(f"{path}/logs", params={"step": "Tell"}, headers={"Accept": "text/plain"}).text
    followed = here.http.get(f"{path}/logs", params={"step": "Tell", "follow": "true"}).text
    detail = here.http.get(path).text
    events = here.kubectl(
        "get", "events", "--field-selector", f"involvedObject.name={run.name}", "--output=json"
    )
    for shown in (json.dumps(status), text, followed, detail, events, here.operator_log):
        assert PASSWORD not in shown
        assert _ENCODED not in shown
    assert text.splitlines() == ["the password is ***", "ERROR in base64: ***", "***"]
    # In the detail the message is there twice besides: of the run, and of the step.
    assert followed.count("***") == detail.count("***") - 2 == 3
    assert PASSWORD in run.log("Tell"), "kubectl shows what the program has written"
