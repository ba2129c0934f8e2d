"""The REST document's requests and answers, one by one: its examples are the tests' data.

Names and times that the document cannot know here (ids, creation times) are taken from the answers;
all else is compared as it is printed there.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.builders import a_workflow, an_execution
from tests.support.facade import Json, Served
from tests.support.polling import eventually

IMAGE_CLASSIFICATION: Json = {
    "id": "wf-1001",
    "name": "Image Classification Training",
    "description": "A workflow for training image classification models on the ImageNet dataset "
    "using distributed GPU training.",
    "status": "active",
    "priority": "high",
    "creator": "John Doe",
    "createdAt": "2025-06-15T10:30:00Z",
    "lastRun": "2025-07-10T14:45:00Z",
    "environments": ["production", "staging"],
    "tags": ["machine-learning", "computer-vision", "training"],
    "steps": [
        {"name": "Data Preparation", "status": "completed", "duration": "10:25"},
        {"name": "Model Training", "status": "completed", "duration": "45:30"},
        {"name": "Model Evaluation", "status": "completed", "duration": "15:10"},
        {"name": "Model Export", "status": "completed", "duration": "05:45"},
        {"name": "Deployment", "status": "pending", "duration": "00:00"},
    ],
    "config": {
        "timeout": "2 hours",
        "retries": 3,
        "retryDelay": "30 seconds",
        "computeProfile": "GPU-Optimized",
        "resources": {"cpu": "16 cores", "memory": "64 GB", "gpu": "8x NVIDIA A100"},
        "storage": {"persistentVolume": "500 GB", "ephemeralStorage": "200 GB"},
        "notifications": {"email": True, "slack": True, "webhook": False},
        "notificationEvents": ["start", "complete", "fail"],
        "schedule": {
            "type": "cron",
            "cron": "0 0 * * 1",
            "description": "Runs every Monday at midnight",
            "skipOnFailure": True,
            "catchUp": False,
        },
        "security": {
            "visibility": "Team",
            "auditLogging": True,
            "secureSecrets": True,
            "permissions": [
                {"role": "Admin", "access": "Full Access"},
                {"role": "Data Scientist", "access": "Execute, Edit"},
                {"role": "Viewer", "access": "View Only"},
            ],
        },
    },
}
CREATE: Json = {
    "name": "New ML Training Pipeline",
    "description": "Handles distributed training across multiple GPU nodes",
    "priority": "medium",
    "environmentStrategy": "time",
    "traceLevel": "med",
    "environments": {"awsVirginia": True, "dgxCloudCalifornia": False},
    "options": {"enableNotifications": False, "enableLogging": True, "enableRetry": False},
}
CREATED: Json = {
    "id": "wf-1006",
    "name": "New ML Training Pipeline",
    "description": "Handles distributed training across multiple GPU nodes",
    "status": "inactive",
    "priority": "medium",
    "creator": "John Doe",
    "createdAt": "2025-10-17T14:30:00Z",
}
UPDATE: Json = {
    "name": "Updated ML Training Pipeline",
    "description": "Updated description for the workflow",
    "priority": "high",
    "options": {"enableNotifications": True, "enableLogging": True, "enableRetry": True},
}
UPDATED: Json = {
    "id": "wf-1001",
    "name": "Updated ML Training Pipeline",
    "description": "Updated description for the workflow",
    "status": "active",
    "priority": "high",
    "updatedAt": "2025-10-17T15:45:00Z",
}
EXECUTE: Json = {
    "environment": "production",
    "parameters": {"datasetPath": "s3://datasets/imagenet", "batchSize": 64, "epochs": 10},
}
EXECUTIONS: Json = {
    "executions": [
        {
            "id": "exec-5001",
            "status": "completed",
            "startTime": "2025-07-10T14:45:00Z",
            "endTime": "2025-07-10T16:01:25Z",
            "duration": "01:16:25",
            "executor": "John Doe",
            "resourceUsage": {"cpu": 78, "memory": 65, "gpu": 92},
        },
        {
            "id": "exec-4892",
            "status": "failed",
            "startTime": "2025-07-05T09:30:00Z",
            "endTime": "2025-07-05T10:15:45Z",
            "duration": "00:45:45",
            "executor": "John Doe",
            "error": "GPU memory allocation failed during training step",
        },
    ],
    "total": 2,
    "limit": 10,
    "offset": 0,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STEP_TIMES = {
    "Data Preparation": ("14:45:00", "14:55:25"),
    "Model Training": ("14:55:25", "15:40:55"),
    "Model Evaluation": ("15:40:55", "15:56:05"),
    "Model Export": ("15:56:05", "16:01:50"),
}


def with_own(answer: Json, expected: Json, *fields: str) -> Json:
    """The document's answer with these fields as they are in ours, which must look like the document's."""
    for field in fields:
        assert type(answer[field]) is type(expected[field])
        if TIME.fullmatch(expected[field]):
            assert TIME.fullmatch(answer[field]), f"{field} is no time: {answer[field]}"
        else:
            prefix = expected[field].split("-")[0]
            assert re.fullmatch(rf"{prefix}-[a-z2-7]{{8}}", answer[field]), f"{field}: {answer[field]}"
    return {**expected, **{field: answer[field] for field in fields}}


def step_results() -> Json:
    day = "2025-07-10T"
    return {
        name: {"phase": "Completed", "startTime": f"{day}{start}Z", "completionTime": f"{day}{end}Z"}
        for name, (start, end) in STEP_TIMES.items()
    }


@pytest.fixture(scope="module")
def classification(served: Served) -> str:
    """The document's workflow and its two executions; of one second, the later name is the later one."""
    spec = {
        key: IMAGE_CLASSIFICATION[key]
        for key in ("description", "priority", "environments", "tags", "config")
    }
    steps = [{"name": step["name"], "image": "busybox:1"} for step in IMAGE_CLASSIFICATION["steps"]]
    manifest = a_workflow("wf-1001", display_name=IMAGE_CLASSIFICATION["name"], steps=steps).with_spec(**spec)
    served.apply(manifest.with_metadata(annotations={"nightcrawler.dev/creator": "John Doe"}))
    parameters = EXECUTE["parameters"]
    for name in ("exec-4892", "exec-5001"):
        run = an_execution(
            "wf-1001", name, executor="John Doe", environment="production", parameters=parameters
        )
        served.apply(run)
    served.report(
        "exec-4892",
        phase="Failed",
        startTime="2025-07-05T09:30:00Z",
        completionTime="2025-07-05T10:15:45Z",
        message="GPU memory allocation failed during training step",
    )
    served.report(
        "exec-5001",
        phase="Completed",
        startTime="2025-07-10T14:45:00Z",
        completionTime="2025-07-10T16:01:25Z",
        message="all 5 steps completed",
        steps=step_results(),
        resourceUsage={"cpu": 78, "memory": 65, "gpu": 92},
    )
    eventually(
        lambda: served.ask("GET", "/wf-1001/executions", code=200)["executions"][0]["status"] == "completed"
    )
    return "wf-1001"


def shown_as(expected: Any, answer: Any) -> Any:
    """The answer without what it has beyond the document, at every depth."""
    if isinstance(expected, dict) and isinstance(answer, dict):
        return {key: shown_as(value, answer.get(key)) for key, value in expected.items()}
    if isinstance(expected, list) and isinstance(answer, list) and len(expected) == len(answer):
        return [shown_as(*pair) for pair in zip(expected, answer, strict=True)]
    return answer


def test_the_list_of_workflows(served: Served, classification: str) -> None:
    answer = served.ask("GET", "", search="ImageNet")
    row = {
        key: IMAGE_CLASSIFICATION[key]
        for key in ("id", "name", "description", "status", "priority", "lastRun")
    }
    assert answer == {"workflows": [row], "total": 1, "page": 1, "pageSize": 10}


def test_a_workflow_in_full(served: Served, classification: str) -> None:
    answer = served.ask("GET", f"/{classification}")
    expected = {**IMAGE_CLASSIFICATION, "createdAt": answer["createdAt"]}
    assert TIME.fullmatch(answer["createdAt"])
    assert shown_as(expected, answer) == expected
    assert list(answer)[: len(expected)] == list(expected), "in the document's order"


def test_creating_a_workflow(served: Served) -> None:
    answer = served.ask("POST", body=CREATE, code=201)
    version = answer.pop("version")  # added to what the document shows
    expected = with_own(answer, CREATED, "id", "createdAt")
    assert answer == {**expected, "creator": "anonymous"}
    shown = served.ask("GET", f"/{answer['id']}")
    assert shown["version"] == version
    assert shown["environments"] == ["awsVirginia"]
    kept = {key: CREATE[key] for key in ("environmentStrategy", "traceLevel", "options")}
    assert shown_as(kept, shown) == kept


def test_changing_a_workflow(served: Served) -> None:
    workflow = served.create(config={"schedule": {"type": "cron", "cron": "0 0 * * 1"}})
    answer = served.ask("PUT", f"/{workflow}", UPDATE)
    assert answer.pop("version")  # added to what the document shows
    expected = {**UPDATED, "id": workflow, "updatedAt": answer["updatedAt"]}
    assert answer == expected
    assert TIME.fullmatch(answer["updatedAt"])
    assert served.ask("GET", f"/{workflow}")["options"] == UPDATE["options"]


def test_the_documents_answer_sent_as_a_change_changes_what_it_names(
    served: Served, classification: str
) -> None:
    names = [step["name"] for step in IMAGE_CLASSIFICATION["steps"]]
    steps = [{"name": name, "image": f"busybox:{number}", "retries": 1} for number, name in enumerate(names)]
    older = {"timeout": "5 minutes", "retries": 0, "notificationEvents": ["fail"], "resources": {"cpu": 1}}
    workflow = served.create(
        name="Older",
        priority="low",
        tags=["old"],
        environments={"elsewhere": True},
        options={"enableRetry": True},
        steps=[*steps[::-1], {"name": "Gone", "image": "busybox:1"}],
        config=older,
    )
    before = served.ask("GET", f"/{workflow}")
    served.ask("PUT", f"/{workflow}", IMAGE_CLASSIFICATION)
    answer = served.ask("GET", f"/{workflow}")
    for field in ("name", "description", "priority", "environments", "tags", "config"):
        assert shown_as(IMAGE_CLASSIFICATION[field], answer[field]) == IMAGE_CLASSIFICATION[field]
    assert [(one["name"], one["image"], one["retries"]) for one in answer["steps"]] == [
        (step["name"], step["image"], step["retries"]) for step in steps
    ]
    # What only answers have, and what it does not name, is as it was.
    for field in ("id", "creator", "createdAt", "options"):
        assert answer[field] == before[field]
    assert (answer["status"], [step["status"] for step in answer["steps"]]) == ("active", ["pending"] * 5)

    stored = served.stored("Workflow", workflow)["metadata"]["generation"]
    served.ask("PUT", f"/{workflow}", answer)
    assert served.stored("Workflow", workflow)["metadata"]["generation"] == stored, "nothing has changed"


def test_deleting_a_workflow(served: Served) -> None:
    workflow = served.create()
    assert served.ask("DELETE", f"/{workflow}") == {
        "success": True,
        "message": "Workflow deleted successfully",
    }
    served.refused("GET", f"/{workflow}", code=404)


def test_executing_a_workflow(served: Served, classification: str) -> None:
    answer = served.ask("POST", f"/{classification}/execute", EXECUTE, code=201)
    document = {
        "executionId": "exec-5002",
        "workflowId": classification,
        "status": "running",
        "startTime": "2025-10-17T16:00:00Z",
        # The document prints 01:15:00; it is the median of the completed runs, of which there is one.
        "estimatedDuration": "01:16:25",
    }
    expected_end = answer.pop("estimatedEnd")  # added to what the document shows
    assert expected_end > answer["startTime"]
    assert answer == with_own(answer, document, "executionId", "startTime")
    served.cluster.api.delete(
        f"/apis/nightcrawler.dev/v1alpha1/namespaces/{served.namespace}/workflowexecutions/{answer['executionId']}"
    )
    eventually(lambda: served.ask("GET", f"/{classification}/executions")["total"] == 2)


def test_the_list_of_executions(served: Served, classification: str) -> None:
    answer = served.ask("GET", f"/{classification}/executions")
    assert shown_as(EXECUTIONS, answer) == EXECUTIONS
    assert all(
        set(row) - {"environment"} == set(shown)
        for row, shown in zip(answer["executions"], EXECUTIONS["executions"], strict=True)
    )


def test_an_execution_in_full(served: Served, classification: str) -> None:
    answer = served.ask("GET", f"/{classification}/executions/exec-5001")
    expected = {
        **EXECUTIONS["executions"][0],
        "workflowId": "wf-1001",
        "parameters": EXECUTE["parameters"],
        "stepExecutions": [
            {
                "name": "Data Preparation",
                "status": "completed",
                "startTime": "2025-07-10T14:45:00Z",
                "endTime": "2025-07-10T14:55:25Z",
                "duration": "00:10:25",
                # Its Pod is long gone.
                "logs": [],
            },
            *({"name": name, "status": "completed"} for name in list(STEP_TIMES)[1:]),
        ],
    }
    assert shown_as(expected, answer) == expected
    assert answer["stepExecutions"][0]["logsMessage"] == "the Pod of this step is gone, and its log with it"


def test_cancelling_an_execution(served: Served) -> None:
    workflow = served.create(steps=[{"name": "a", "image": "busybox:1"}])
    execution = served.execute(workflow)
    answer = served.ask("POST", f"/{workflow}/executions/{execution}/cancel", code=202)
    assert answer == {
        "success": True,
        "message": "Execution cancellation requested",
        "executionId": execution,
        "status": "cancelling",
    }
