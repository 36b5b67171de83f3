"""Starting on Kubernetes: what is asked first, what is applied, and every refusal in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines.launch import (
    LaunchError,
    LaunchSettings,
    launch_on_kubernetes,
    make_plan,
    watching,
    write_plan,
)
from pipelines.launch.cluster_launch import before_apply
from pipelines.launch.commands import find_tool, run

Make = Callable[..., LaunchSettings]
Kubectl = Callable[..., Path]


def launch(settings: LaunchSettings) -> list[str]:
    said: list[str] = []
    launch_on_kubernetes(settings, make_plan(settings), said.append)
    return said


def test_a_launch_applies_everything_in_order(make_settings: Make, fake_kubectl: Kubectl) -> None:
    log = fake_kubectl()
    settings = make_settings(target={"context": "there"})
    assert launch(settings) == ["rayjob/demo created"]
    calls = log.read_text().splitlines()
    assert all(call.startswith("--context there --namespace tapirus ") for call in calls)
    assert [call.split()[4] for call in calls] == ["get", "get", "apply"]
    applied = list(yaml.safe_load_all(Path(f"{log}.stdin").read_text()))
    wanted = [item for items in make_plan(settings).files.values() for item in items]
    assert applied == wanted
    assert applied[0]["kind"] == "Namespace"
    assert applied[-1]["kind"] == "RayJob"


def test_a_job_that_is_over_is_replaced(make_settings: Make, fake_kubectl: Kubectl) -> None:
    log = fake_kubectl(state="Failed")
    assert "the last run is failed" in launch(make_settings())[0]
    verbs = [call.split()[2] for call in log.read_text().splitlines()]
    assert verbs == ["get", "get", "delete", "apply"]


@pytest.mark.parametrize("state", ["Running", "Initializing", "Retrying"])
def test_a_job_that_runs_is_left_alone(
    make_settings: Make, fake_kubectl: Kubectl, state: str
) -> None:
    log = fake_kubectl(state=state)
    with pytest.raises(LaunchError, match=f"is there already and is {state.lower()}"):
        launch(make_settings())
    assert "apply" not in log.read_text()


def test_a_cluster_without_the_operator_is_named(
    make_settings: Make, fake_kubectl: Kubectl
) -> None:
    log = fake_kubectl(crd=False)
    with pytest.raises(LaunchError, match="no KubeRay operator"):
        launch(make_settings())
    assert "apply" not in log.read_text()


def test_what_is_done_about_a_job_that_is_there() -> None:
    assert before_apply("x", "") == "apply"
    assert before_apply("x", "Complete") == "replace"
    with pytest.raises(LaunchError, match=r"another job\.name"):
        before_apply("x", "Suspended")


def test_a_missing_tool_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LaunchError, match=r"kubectl is not installed here.*https://") as caught:
        find_tool("kubectl")
    assert "\n" not in str(caught.value)


def test_a_tool_that_fails_has_the_last_word() -> None:
    with pytest.raises(LaunchError, match=r"`ls /no/such/place` failed: .*[Nn]o such file"):
        run(["ls", "/no/such/place"])
    assert run(["cat"], "given").strip() == "given"


def test_how_to_watch_and_stop(make_settings: Make) -> None:
    commands = {item.says: item.line() for item in watching(make_settings())}
    assert commands["stop"] == "kubectl --namespace tapirus delete rayjob demo"
    assert commands["log"].endswith("logs --follow job/demo")
    assert "instance=demo" in commands["clean up"]


def test_a_plan_is_written_whole(make_settings: Make, tmp_path: Path) -> None:
    plan = make_plan(make_settings("flink"))
    written = write_plan(plan, tmp_path / "a" / "b")
    kustomization = yaml.safe_load(written[-1].read_text())
    assert kustomization["resources"] == [path.name for path in written[:-1]]
    for path in written[:-1]:
        assert list(yaml.safe_load_all(path.read_text())) == plan.files[path.name]


def test_a_folder_that_cannot_be_written(make_settings: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LaunchError, match="cannot be written"):
        write_plan(make_plan(make_settings()), tmp_path / "file")
