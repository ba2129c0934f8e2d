"""Numbers on their way through the API server: what it keeps, and that what it rounds is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import msgspec
import pytest

from localcluster import ClusterError, LocalCluster
from nightcrawler_crds.kube.views import ExecutionView
from tests.support.apinumbers import as_kept
from tests.support.builders import ExecutionBuilder, a_workflow, an_execution
from tests.support.resources import path_of
from tests.support.team import Team

SMALL: Final = ["0", "-0.0", "1", "1.0", "0.1", "1E5", "1.5e-3", "1e-6", "1e-7", "5e-324", "1e-400"]
LONG: Final = ["3.141592653589793", "0.12345678901234567890", "9007199254740993", "9007199254740993.0"]
EDGES: Final = ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"]
LARGE: Final = ["18446744073709551617", "1e18", "1e20", "999999999999999999999", "1e21"]
VAST: Final = ["123456789012345678901234567890", "6.022e23", "1.7976931348623157e308"]
NUMBERS: Final = [*SMALL, *LONG, *EDGES, *LARGE, *VAST]


def created_raw(cluster: LocalCluster, namespace: str, numbers: list[str], file: Path) -> ExecutionView:
    """An execution with these numbers as parameters, spelled like that, as it is read back."""
    parameters = {f"n{index}": [f"#{index}#"] for index in range(len(numbers))}
    text = json.dumps(
        ExecutionBuilder(
            "WorkflowExecution", "numbers", {"workflowRef": {"name": "x"}, "parameters": parameters}
        ).manifest()
    )
    for index, number in enumerate(numbers):
        text = text.replace(f'"#{index}#"', number)
    file.write_text(text, encoding="utf-8")
    collection = path_of("WorkflowExecution", namespace)
    cluster.kubectl("create", "--raw", collection, "-f", str(file))
    return msgspec.json.decode(cluster.kubectl("get", "--raw", f"{collection}/numbers"), type=ExecutionView)


def test_the_api_server_keeps_numbers_as_the_unit_tests_suppose(
    cluster: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    found = created_raw(cluster, namespace, NUMBERS, tmp_path / "numbers.json").spec.parameters
    read = {spelled: found[f"n{index}"][0] for index, spelled in enumerate(NUMBERS)}
    assert {spelled: repr(number) for spelled, number in read.items()} == {
        spelled: repr(as_kept(spelled)) for spelled in NUMBERS
    }


def test_the_api_server_refuses_what_no_float_can_hold(
    cluster: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match="1e400"):
        created_raw(cluster, namespace, ["1e400"], tmp_path / "numbers.json")


def test_a_default_that_arrives_rounded_is_not_accepted(shared: Team) -> None:
    workflow = a_workflow("rounded").parameter("seed", default={"at": [18446744073709551617]}).step("one")
    (run,) = shared.runs(workflow)
    status = shared.until_phase(run, "Failed")
    assert status["message"] == (
        "the default of the parameter 'seed' has the number 18446744073709552000 in it, which does not fit "
        "in 64 bits and may have been rounded on its way here; write it as text"
    )


def test_a_value_that_arrives_rounded_is_refused(shared: Team) -> None:
    workflow = a_workflow("rounding").step("one")
    shared.apply(workflow)
    run = shared.begin(
        an_execution(workflow).with_parameters(seed=18446744073709551617, kept=9223372036854775807)
    )
    status = shared.until_phase(run, "Failed")
    assert status["message"].startswith("the parameter 'seed' has the number 18446744073709552000 in it")
