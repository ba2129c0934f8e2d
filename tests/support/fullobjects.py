"""One object of each kind in which every field is set."""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds import names

Manifest = dict[str, Any]


def _condition() -> Manifest:
    return {
        "type": "Accepted",
        "status": "True",
        "reason": "Valid",
        "message": "Nothing speaks against running it.",
        "lastTransitionTime": "2025-07-10T14:45:00Z",
        "observedGeneration": 1,
    }


def _manifest(kind: str, spec: Manifest, status: Manifest) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {"name": "full"},
        "spec": spec,
        "status": status,
    }


def _workflow_status() -> Manifest:
    return {
        "observedGeneration": 3,
        "active": 1,
        "lastRunTime": "2025-07-10T14:45:00Z",
        "lastExecution": "image-classification-x7k2p",
        "lastPhase": "Completed",
        "notifications": {"skip/slack": _notice()},
        "schedule": {
            "anchor": "2025-07-01T00:00:00Z",
            "specHash": "0123456789abcdef",
            "lastScheduledTime": "2025-07-06T22:00:00Z",
            "nextScheduledTime": "2025-07-13T22:00:00Z",
            "lastStarted": "2025-07-06T22:00:00Z",
            "skipNext": False,
            "message": "a clock was wrong",
            "recent": [
                {
                    "time": "2025-07-06T22:00:00Z",
                    "outcome": "Started",
                    "reason": "Completed",
                    "message": "it has ended",
                    "execution": "image-classification-0123456789",
                }
            ],
        },
        "conditions": [_condition()],
    }


def workflow() -> Manifest:
    """The document's image classification, and all else that a Workflow may say."""
    spec = {
        "displayName": "Image Classification Training",
        "description": "Trains image classification models on ImageNet.",
        "priority": "high",
        "tags": ["machine-learning", "computer-vision"],
        "environments": ["production", "staging"],
        "environmentStrategy": "time",
        "traceLevel": "med",
        "options": {"enableNotifications": True, "enableLogging": True, "enableRetry": False},
        "parameters": [
            {"name": "datasetPath", "required": True, "description": "Where the images are."},
            {"name": "epochs", "default": 10},
            {"name": "nothing", "default": None},
        ],
        "order": "Graph",
        "steps": [{"name": "Data Preparation", "image": "busybox:1"}, _step()],
        "suspend": True,
        "maxRunning": 2,
        "history": {"completed": 5, "failed": 20},
        "config": _config(),
    }
    return _manifest("Workflow", spec, _workflow_status())


def _step() -> Manifest:
    return {
        "name": "Model Training",
        "image": "python:3.11-slim-bookworm",
        "command": ["python", "train.py"],
        "args": ["--epochs", "$(PARAM_epochs)"],
        "workingDir": "/srv",
        "env": [
            {"name": "MODE", "value": "fast"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "hub"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "computeProfile": "GPU-Optimized",
        "resources": {
            "cpu": 0.5,
            "cpuLimit": "2 cores",
            "memory": "64Gi",
            "gpu": "8x NVIDIA A100",
            "ephemeralStorage": "200 GB",
        },
        "timeout": "1h30m",
        "retries": 2,
        "retryDelay": 30,
        "dependsOn": ["Data Preparation"],
        "nodes": 1,
        "podTemplate": {"spec": {"containers": [{"name": "step", "tty": True}], "hostname": "training"}},
    }


def _config() -> Manifest:
    return {
        "timeout": "2 hours",
        "retries": 3,
        "retryDelay": "30 seconds",
        "computeProfile": "GPU-Optimized",
        "resources": {"cpu": "16 cores", "cpuLimit": 16, "memory": "64 GB", "gpu": "None"},
        "storage": {"persistentVolume": "500 GB", "ephemeralStorage": 200_000_000_000, "retain": True},
        "notifications": {"email": True, "slack": True, "webhook": False, "emailTo": ["ops@example.com"]},
        "notificationEvents": ["start", "complete", "fail"],
        "schedule": {
            "type": "cron",
            "cron": "0 0 * * 1",
            "interval": "6 hours",
            "description": "Runs every Monday at midnight",
            "skipOnFailure": True,
            "catchUp": False,
            "timeZone": "Europe/Berlin",
            "startingDeadline": "10 minutes",
            "concurrencyPolicy": "Replace",
            "start": "2025-07-01T00:00:00Z",
            "end": "2025-12-31T23:59:59Z",
        },
        "security": {
            "visibility": "Team",
            "auditLogging": True,
            "secureSecrets": True,
            "permissions": [{"role": "Data Scientist", "access": "Execute, Edit"}],
        },
    }


def _notice() -> Manifest:
    return {
        "state": "Sent",
        "time": "2025-07-10T16:01:25Z",
        "after": "2025-07-10T15:01:25Z",
        "attempts": 2,
        "lastError": "the receiver answered 503",
        "sentAt": "2025-07-10T16:01:31Z",
    }


def _step_status() -> Manifest:
    return {
        "phase": "Failed",
        "attempt": 2,
        "disruptions": 1,
        "preemptions": 1,
        "earlierSeconds": 60,
        "startTime": "2025-07-10T14:45:00Z",
        "completionTime": "2025-07-10T14:55:25Z",
        "jobName": "full-model-training-abcdefghij",
        "exitCode": 137,
        "reason": "OutOfMemory",
        "message": "needed more than its 64Gi",
        "usage": {what: {"average": 48, "peak": 97} for what in ("cpu", "memory", "gpu")},
        "attempts": [
            {
                "number": 1,
                "created": "2025-07-10T14:40:00Z",
                "scheduled": "2025-07-10T14:40:01Z",
                "startTime": "2025-07-10T14:40:05Z",
                "completionTime": "2025-07-10T14:44:00Z",
                "exitCode": 1,
                "reason": "Error",
                "node": "node-1",
                "events": [{"time": "2025-07-10T14:40:01Z", "reason": "Scheduled", "message": "to node-1"}],
            }
        ],
    }


def execution() -> Manifest:
    """A run with parameters of every type of JSON."""
    spec = {
        "workflowRef": {"name": "image-classification"},
        "parameters": {
            "datasetPath": "s3://datasets/imagenet",
            "batchSize": 64,
            "rate": 0.1,
            "dry": False,
            "nothing": None,
            "layers": [64, "same", {"depth": [1, None]}],
            "tree": {"a": {"b": {}}},
        },
        "environment": "production",
        "executor": "John Doe",
        "revision": "image-classification-abcdefghij",
        "trigger": {"type": "Rerun", "scheduledTime": "2025-07-10T14:45:00Z", "rerunOf": "exec-5001"},
        "cancel": False,
    }
    status = {
        "phase": "Running",
        "message": "step 'Model Training' waits for a node",
        "waitingReason": "Unschedulable",
        "waitingSince": "2025-07-10T14:44:00Z",
        "environment": "local",
        "revision": "image-classification-abcdefghij",
        "startTime": "2025-07-10T14:45:00Z",
        "completionTime": "2025-07-10T16:01:25Z",
        "progress": "2/5",
        "cost": {"amount": 0.25, "currency": "USD"},
        "resourceUsage": {"cpu": 48, "memory": 63, "gpu": 91},
        "placement": [
            {
                "environment": "local",
                "wait": 1.5,
                "duration": 600,
                "cost": 0.25,
                "currency": "USD",
                "passedOver": "it is cordoned",
            }
        ],
        "conditions": [_condition()],
        "settled": False,
        "duties": ["Logs", "Archive"],
        "notifications": {"fail/slack": _notice()},
        "traceLevel": "debug",
        "steps": {"training": _step_status()},
    }
    return _manifest("WorkflowExecution", spec, status)


def _environment_status() -> Manifest:
    return {
        "nodes": 2,
        "readyNodes": 2,
        "capacity": {"cpu": "64", "nvidia.com/gpu": "8"},
        "free": {"cpu": "12"},
        "largestFreeNode": {"name": "gpu-1", "free": {"cpu": "8", "nvidia.com/gpu": "2"}},
        "gpus": [
            {
                "model": "NVIDIA-A100-SXM4-80GB",
                "resource": "nvidia.com/gpu",
                "capacity": 8,
                "free": 3,
                "largestFree": 2,
            }
        ],
        "running": 4,
        "waiting": 1,
        "conditions": [_condition()],
    }


def environment() -> Manifest:
    """An Environment in another cluster, with prices and maintenance."""
    spec = {
        "displayName": "AWS, Virginia",
        "aliases": ["awsVirginia", "production"],
        "default": True,
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "forceDeleteOnLostNode": False,
        "cpuLimit": "Request",
        "acceptAnyName": True,
        "nodes": "Fixed",
        "gpuModels": [{"model": "MI300X", "nodeSelector": {"gpu": "mi300x"}, "resourceName": "amd.com/gpu"}],
        "podTemplate": {"spec": {"dnsPolicy": "Default"}},
        "serviceAccountName": "trainer",
        "storageClassName": "fast",
        "accessMode": "ReadWriteMany",
        "state": "Cordoned",
        "prices": {
            "currency": "USD",
            "cpuHour": 0.04,
            "memoryGbHour": 0.005,
            "gpuHour": 2,
            "gpuHourByModel": {"A100": 2.5},
        },
        "maxRunning": 10,
        "speed": 1.5,
        "maintenance": [
            {"start": "2025-07-10T14:45:00Z", "end": "2025-07-10T16:00:00Z", "description": "New drivers"}
        ],
        "cluster": {
            "kubeconfigSecret": {"namespace": "nightcrawler", "name": "virginia", "key": "kubeconfig"}
        },
    }
    return _manifest("Environment", spec, _environment_status())


def profile() -> Manifest:
    """The document's preset."""
    spec = {
        "displayName": "GPU-Optimized",
        "resources": {
            "cpu": 16,
            "cpuLimit": "None",
            "memory": "64 GB",
            "gpu": 8,
            "ephemeralStorage": "None",
        },
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "runtimeClassName": "nvidia",
        "priorityClassName": "batch",
        "sharedMemory": "16 GB",
        "env": [
            {"name": "NCCL_DEBUG", "value": "INFO"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "hub"}}},
        ],
    }
    return _manifest("ComputeProfile", spec, {"conditions": [_condition()]})


ALL: Final = {
    "Workflow": workflow,
    "WorkflowExecution": execution,
    "Environment": environment,
    "ComputeProfile": profile,
}
