"""What Kubernetes is told, by the settings. That it is valid is tested in tests/infra."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.launch import LaunchSettings, make_plan
from pipelines.launch.plan import hourly_cost

Make = Callable[..., LaunchSettings]


def objects(settings: LaunchSettings) -> dict[str, Any]:
    items = [item for part in make_plan(settings).files.values() for item in part]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}


def cluster(settings: LaunchSettings) -> Any:
    return objects(settings)["RayJob/demo"]["spec"]["rayClusterSpec"]


def test_groups_are_as_large_as_the_settings_say(make_settings: Make) -> None:
    spec = cluster(make_settings(kuberay={"gpus": 5, "gpu_type": "nvidia-h100-80gb", "idle_s": 77}))
    cpu, gpu = spec["workerGroupSpecs"]
    assert (cpu["groupName"], cpu["minReplicas"], cpu["maxReplicas"]) == ("cpu", 0, 4)
    assert (gpu["groupName"], gpu["minReplicas"], gpu["maxReplicas"]) == ("gpu", 0, 5)
    pod = gpu["template"]["spec"]
    assert pod["nodeSelector"]["cloud.google.com/gke-accelerator"] == "nvidia-h100-80gb"
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"] == "registry.example/tapirus/tapirus-cuda:1.2"
    assert spec["enableInTreeAutoscaling"]
    assert spec["autoscalerOptions"]["idleTimeoutSeconds"] == 77


def test_the_head_holds_no_tracker_and_is_never_on_a_spot_node(make_settings: Make) -> None:
    head = cluster(make_settings())["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    terms = head["template"]["spec"]["affinity"]["nodeAffinity"]
    text = json.dumps(terms)
    assert "gke-spot" in text
    assert "DoesNotExist" in text
    assert head["template"]["spec"]["serviceAccountName"] == "tapirus-driver"


def test_without_gpus_there_is_no_gpu_group(make_settings: Make) -> None:
    settings = make_settings(kuberay={"gpus": 0})
    (group,) = cluster(settings)["workerGroupSpecs"]
    assert group["groupName"] == "cpu"
    assert "cuda" not in make_plan(settings).yaml()


def test_on_demand_workers_ask_for_no_spot_node(make_settings: Make) -> None:
    for group in cluster(make_settings(kuberay={"spot": False}))["workerGroupSpecs"]:
        assert "gke-spot" not in json.dumps(group)
    for group in cluster(make_settings())["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        assert pod["nodeSelector"]["cloud.google.com/gke-spot"] == "true"
        assert "cloud.google.com/gke-spot" in [taint["key"] for taint in pod["tolerations"]]


def test_a_cluster_can_outlive_its_job(make_settings: Make) -> None:
    made = objects(make_settings(kuberay={"keep_cluster": True}))
    job = made["RayJob/demo"]["spec"]
    assert job["clusterSelector"] == {"ray.io/cluster": "demo"}
    assert not job.keys() & {"rayClusterSpec", "shutdownAfterJobFinishes", "backoffLimit"}
    assert made["RayCluster/demo"]["spec"] == cluster(make_settings())


def test_the_driver_finds_its_order(make_settings: Make) -> None:
    made = objects(make_settings())
    entrypoint = made["RayJob/demo"]["spec"]["entrypoint"]
    assert entrypoint == "python -m pipelines.launch.driver /etc/tapirus/job.json"
    (data,) = made["ConfigMap/demo-job"]["data"].items()
    assert data[0] == "job.json"
    assert json.loads(data[1])["command"][:3] == ["tapirus", "extract", "gs://bucket/in/"]


@pytest.mark.parametrize("account", ["", "a-driver@my-project.iam.gserviceaccount.com"])
def test_workload_identity_is_asked_for_where_there_is_an_account(
    make_settings: Make, account: str
) -> None:
    made = objects(make_settings(target={"driver_account": account}))
    annotations = made["ServiceAccount/tapirus-driver"]["metadata"].get("annotations", {})
    assert annotations == ({"iam.gke.io/gcp-service-account": account} if account else {})


def test_ray_asks_for_a_token_where_it_can(make_settings: Make) -> None:
    assert cluster(make_settings())["authOptions"] == {"mode": "token"}
    for target in ("dataflow", "flink"):
        assert cluster(make_settings(target))["authOptions"] == {"mode": "disabled"}


def test_who_may_reach_the_pods(make_settings: Make) -> None:
    def ports(settings: LaunchSettings) -> list[tuple[str, Any]]:
        rules = objects(settings)["NetworkPolicy/demo"]["spec"]["ingress"]
        return [
            (next(iter(peer)), [port["port"] for port in rule.get("ports", [])])
            for rule in rules
            for peer in rule["from"]
        ]

    assert ports(make_settings()) == [("podSelector", []), ("namespaceSelector", [8265])]
    outside = [rule for rule in ports(make_settings("dataflow")) if rule[0] == "ipBlock"]
    assert outside == [("ipBlock", [10001])] * 2


def test_cost_is_what_all_nodes_cost(make_settings: Make) -> None:
    ray = {"gpus": 2, "gpu_worker_cpus": 6, "cpu_workers": 3, "cpu_worker_cpus": 4, "head_cpus": 2}
    # 2 GPUs, and 2 + 2 x 6 + 3 x 4 CPUs
    assert hourly_cost(make_settings(kuberay=ray)) == 2 * 0.5 + 26 * 0.25
    flow = {"workers": 5, "machine_cpus": 8}
    assert hourly_cost(make_settings("dataflow", kuberay=ray, dataflow=flow)) == 1 + 66 * 0.25
    flink = {"workers": 3, "worker_cpus": 2}
    assert hourly_cost(make_settings("flink", kuberay=ray, flink=flink)) == 1 + (26 + 14) * 0.25
    assert hourly_cost(make_settings("local-cluster")) == 0


def test_a_plan_tells_what_it_would_do(make_settings: Make) -> None:
    text = make_plan(make_settings()).text()
    for part in ("gs://bucket/out", "8 GPU workers", "nvidia-l4", "spot", "an hour", "RayJob"):
        assert part in text
