"""Dataflow and Flink: Beam's options, how its workers find Ray, and the job built to its proto."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    WorkerOptions,
)
from apache_beam.portability.api import beam_runner_api_pb2

from pipelines.launch import LaunchSettings, flink, make_plan
from pipelines.launch import dataflow as flow

Make = Callable[..., LaunchSettings]


def objects(settings: LaunchSettings) -> dict[str, Any]:
    items = [item for part in make_plan(settings).files.values() for item in part]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}


def known(flags: tuple[str, ...]) -> PipelineOptions:
    """Beam's options; fails for a flag that Beam does not know, which Beam itself would ignore."""
    options = PipelineOptions(list(flags))
    names = options.get_all_options(retain_unknown_options=False).keys()
    # Flags that take something away are stored under the name of what they take.
    stored = {"no_use_public_ips": "use_public_ips", "worker_machine_type": "machine_type"}
    for flag in flags:
        name = flag[2:].partition("=")[0]
        assert stored.get(name, name) in names, flag
    return options


def test_dataflow_gets_options_that_beam_knows(make_settings: Make) -> None:
    settings = make_settings(
        "dataflow",
        dataflow={"subnetwork": "regions/r/subnetworks/s", "worker_account": "w@p", "workers": 3},
    )
    options = known(flow.beam_options(settings))
    cloud, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert (cloud.project, cloud.region, cloud.job_name) == ("my-project", "europe-west4", "demo")
    assert cloud.temp_location == "gs://bucket/tmp/"
    assert cloud.staging_location == "gs://bucket/tmp/staging"
    assert cloud.service_account_email == "w@p"
    assert worker.sdk_container_image == "registry.example/tapirus/tapirus-dataflow:1.2"
    assert (worker.num_workers, worker.max_num_workers) == (3, 3)
    assert worker.use_public_ips is False
    assert worker.subnetwork == "regions/r/subnetworks/s"


def test_dataflows_workers_find_ray_at_its_address(make_settings: Make) -> None:
    made = objects(make_settings("dataflow"))
    service = made["Service/demo-ray"]
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["loadBalancerIP"] == "10.0.0.9"
    assert service["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/20", "10.1.0.0/20"]
    assert service["metadata"]["annotations"] == {
        "networking.gke.io/load-balancer-type": "Internal"
    }
    command = json.loads(made["ConfigMap/demo-job"]["data"]["job.json"])["command"]
    assert command[command.index("--ray-address") + 1] == "ray://10.0.0.9:10001"
    assert "--runner=DataflowRunner" in command[command.index("--") :]
    head = made["RayJob/demo"]["spec"]["rayClusterSpec"]["headGroupSpec"]
    (container,) = head["template"]["spec"]["containers"]
    assert container["image"].endswith("tapirus-dataflow:1.2")  # it submits the job


def test_the_dataflow_job_builds_and_nothing_is_submitted(make_settings: Make) -> None:
    """By Dataflow's own runner where Beam's Google parts are installed, else by Beam alone."""
    settings = make_settings("dataflow", job={"extract": {"grid": 8}})
    job = flow.build_job(settings)
    assert job.by_dataflow == flow.google_parts()
    components = job.proto.components
    names = {transform.unique_name for transform in components.transforms.values()}
    assert any("Buckets" in name for name in names)
    assert any(name.endswith("TrackVideos/Track") for name in names)
    images = set()
    for environment in components.environments.values():
        if environment.urn == "beam:env:docker:v1":
            payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
            images.add(payload.container_image)
    assert images == {"registry.example/tapirus/tapirus-dataflow:1.2"}
    assert job.proto.ByteSize() < 1_000_000  # names and numbers, never frames


def test_flink_gets_options_that_beam_knows(make_settings: Make) -> None:
    options = known(flink.beam_options(make_settings("flink", flink={"workers": 5})))
    portable = options.view_as(PortableOptions)
    assert portable.job_endpoint == "demo-job-server:8099"
    assert portable.artifact_endpoint == "demo-job-server:8098"
    assert (portable.environment_type, portable.environment_config) == (
        "EXTERNAL", "localhost:50000",
    )  # fmt: skip
    assert options.get_all_options()["parallelism"] == 5


def test_flinks_parts_find_each_other(make_settings: Make) -> None:
    made = objects(make_settings("flink", flink={"workers": 5}))
    server = made["Deployment/demo-job-server"]["spec"]["template"]["spec"]["containers"][0]
    assert "--flink-master=demo-job-manager:8081" in server["args"]
    assert "Service/demo-job-manager" in made
    served = {port["port"] for port in made["Service/demo-job-server"]["spec"]["ports"]}
    assert served == {8098, 8099}
    workers = made["Deployment/demo-task-manager"]["spec"]
    assert workers["replicas"] == 5
    task_manager, pool = workers["template"]["spec"]["containers"]
    assert "jobmanager.rpc.address: demo-job-manager" in task_manager["env"][0]["value"]
    assert pool["args"] == ["--worker_pool"]
    assert pool["image"].endswith("tapirus-cpu:1.2")
    command = json.loads(made["ConfigMap/demo-job"]["data"]["job.json"])["command"]
    assert command[command.index("--ray-address") + 1] == "ray://demo-ray:10001"
    assert made["Service/demo-ray"]["spec"]["type"] == "ClusterIP"


@pytest.mark.parametrize("target", ["dataflow", "flink"])
def test_the_job_comes_after_what_it_needs(make_settings: Make, target: str) -> None:
    files = list(make_plan(make_settings(target)).files)
    assert files[0] == "namespace.yaml"
    assert files[-1] == "rayjob.yaml"
