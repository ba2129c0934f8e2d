"""Our custom resources over the API server's own REST, as tests write and read them."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import names
from nightcrawler_crds.generate.kinds import KINDS, definition

Json = dict[str, Any]

KIND: Final = {kind.resource.kind: kind for kind in KINDS}
_STRICT: Final = "dryRun=All&fieldValidation=Strict"


def schema_of(kind: str) -> Json:
    """The schema of a kind's whole object."""
    schema: Json = definition(KIND[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def path_of(kind: str, namespace: str = "default") -> str:
    """Where the objects of a kind are."""
    resource = KIND[kind].resource
    scope = f"/namespaces/{namespace}" if resource.namespaced else ""
    return f"/apis/{names.GROUP}/{names.VERSION}{scope}/{resource.plural}"


def refused_create(cluster: LocalCluster, manifest: Json) -> str:
    """The error for an object that the server must refuse; a dry run."""
    with pytest.raises(RefusedError) as refused:
        cluster.api.post(f"{path_of(manifest['kind'])}?{_STRICT}", manifest)
    return _message(refused.value)


def refused_merge(cluster: LocalCluster, path: str, change: Json) -> str:
    """The error for a change that the server must refuse; a dry run."""
    with pytest.raises(RefusedError) as refused:
        cluster.api.merge(f"{path}?{_STRICT}", change)
    return _message(refused.value)


def kept(cluster: LocalCluster, manifest: Json) -> Json:
    """What the server would keep of an object."""
    answer: Json = cluster.api.post(f"{path_of(manifest['kind'])}?{_STRICT}", manifest)
    return answer


def _message(error: RefusedError) -> str:
    """The sentence in the `Status` that the server answered with."""
    text = str(error)
    message: str = json.loads(text[text.index("{") :])["message"]
    return message
