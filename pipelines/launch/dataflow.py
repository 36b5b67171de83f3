"""A launch whose Beam workers are Dataflow's.

They hold no GPU and no frames: they say which clips are next and write what comes back. They speak
to the Ray cluster as clients (`ray://`), at an internal address that stays the same when the
cluster is made again. What the cluster is made of is the same as with KubeRay.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from pipelines.launch.driver import order_of
from pipelines.launch.errors import LaunchError
from pipelines.launch.kuberay import common, ray_files
from pipelines.launch.objects import RAY_CLIENT_PORT, Object, ray_client_service
from pipelines.launch.settings import LaunchSettings


def ray_address(settings: LaunchSettings) -> str:
    """Where driver and workers find Ray."""
    return f"ray://{settings.dataflow.ray_host}:{RAY_CLIENT_PORT}"


def beam_options(settings: LaunchSettings) -> tuple[str, ...]:
    """Beam's flags for the job."""
    flow, target = settings.dataflow, settings.target
    flags = [
        "--runner=DataflowRunner",
        f"--project={target.project}",
        f"--region={target.region}",
        f"--job_name={settings.job.name}",
        f"--temp_location={flow.temp}",
        f"--staging_location={flow.temp.rstrip('/')}/staging",
        f"--sdk_container_image={settings.image.dataflow}",
        # Everything is in the image: nothing is installed on the workers.
        "--sdk_location=container",
        f"--worker_machine_type={flow.machine}",
        f"--num_workers={flow.workers}",
        f"--max_num_workers={flow.workers}",
        "--autoscaling_algorithm=NONE",
        # One coordinator a worker: each keeps every tracker's queue filled on its own.
        "--number_of_worker_harness_threads=1",
        "--experiments=no_use_multiple_sdk_containers",
        "--no_use_public_ips",
    ]
    if flow.subnetwork:
        flags.append(f"--subnetwork={flow.subnetwork}")
    if flow.worker_account:
        flags.append(f"--service_account_email={flow.worker_account}")
    return tuple(flags)


def manifests(settings: LaunchSettings) -> dict[str, list[Object]]:
    """The Ray cluster, the job that submits to Dataflow, and the address between them.

    Ray's token would have to reach Dataflow's workers, who take no secrets: who may speak to Ray
    is decided by the network policy and the load balancer instead.
    """
    ranges = tuple(part.strip() for part in settings.dataflow.source_ranges.split(","))
    order = order_of(settings, ray_address(settings), beam_options(settings))
    service = ray_client_service(
        settings,
        annotations={"networking.gke.io/load-balancer-type": "Internal"},
        type="LoadBalancer",
        loadBalancerIP=settings.dataflow.ray_host,
        loadBalancerSourceRanges=list(ranges),
        # Else the policy would see the node's address in place of the worker's.
        externalTrafficPolicy="Local",
    )
    return (
        common(settings, order, ranges)
        | {"ray-client.yaml": [service]}
        | ray_files(settings, "disabled")
    )


@dataclass(frozen=True)
class BuiltJob:
    """A job that was built and not submitted."""

    proto: Any
    """Beam's proto of the pipeline (`beam_runner_api_pb2.Pipeline`)."""
    by_dataflow: bool
    """Whether Dataflow's own runner made it, or Beam alone, where its Google parts are missing."""


def build_job(settings: LaunchSettings) -> BuiltJob:
    """The job as Dataflow would get it: the extraction's own pipeline, with one bucket of videos.

    Raises LaunchError where Beam refuses the options.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
    from apache_beam.transforms.environments import DockerEnvironment

    from pipelines.extract.bridge import TrackVideos, bucket_element
    from pipelines.extract.inputs import Bucket

    options = PipelineOptions([*beam_options(settings), "--dry_run=True", "--no_auth"])
    runner = DataflowRunner()
    try:
        pipeline = beam.Pipeline(runner=runner, options=options)
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise LaunchError(f"Beam refuses the settings of [dataflow]: {reason}") from error
    element = bucket_element(Bucket(0, 0), 1)
    _ = pipeline | "Buckets" >> beam.Create([element]) | TrackVideos(_run_spec(settings))
    if google_parts():
        runner.run_pipeline(pipeline, options)
        return BuiltJob(runner.proto_pipeline, True)
    image = DockerEnvironment.from_container_image(settings.image.dataflow)
    return BuiltJob(pipeline.to_runner_api(default_environment=image), False)


def google_parts() -> bool:
    """Whether Beam's Google parts are installed here."""
    return importlib.util.find_spec("apitools") is not None


def _run_spec(settings: LaunchSettings) -> Any:
    from pipelines.extract.actors import QueryGrid
    from pipelines.extract.pool import plan_pool
    from pipelines.extract.spec import FleetSpec, RunSpec

    ray, extract = settings.kuberay, settings.job.extract
    cpus = ray.gpus * ray.gpu_worker_cpus + ray.cpu_workers * ray.cpu_worker_cpus
    fleet = FleetSpec(
        settings.job.name,
        plan_pool(cpus, ray.gpus, extract.num_actors),
        QueryGrid(extract.grid, extract.query_frame),
        b"",
        spread=True,
    )
    return RunSpec(settings.job.output, extract, fleet, ray_address(settings), planners=1)
