"""A launch whose Beam workers run beside Flink's task managers.

Flink stands in the same namespace as the Ray cluster: a job manager, task managers each with Beam's
Python worker in a second container, and Beam's job server, which takes the job from the driver.
"""

from __future__ import annotations

from typing import Any

from pipelines.launch.driver import order_of
from pipelines.launch.kuberay import common, ray_files
from pipelines.launch.objects import (
    RAY_CLIENT_PORT,
    Object,
    account_name,
    container_security,
    labels,
    pod_security,
    ray_client_service,
    resources,
)
from pipelines.launch.settings import LaunchSettings

_RPC, _BLOB, _REST = 6123, 6124, 8081
_JOB_PORT, _ARTIFACT_PORT, _EXPANSION_PORT, _WORKER_POOL_PORT = 8099, 8098, 8097, 50000
_FLINK_UID = 9999  # of the user in Flink's images


def ray_address(settings: LaunchSettings) -> str:
    """Where driver and workers find Ray."""
    return f"ray://{settings.job.name}-ray:{RAY_CLIENT_PORT}"


def beam_options(settings: LaunchSettings) -> tuple[str, ...]:
    """Beam's flags for the job."""
    server = f"{settings.job.name}-job-server"
    return (
        "--runner=PortableRunner",
        f"--job_endpoint={server}:{_JOB_PORT}",
        f"--artifact_endpoint={server}:{_ARTIFACT_PORT}",
        f"--job_name={settings.job.name}",
        # The container beside each task manager, where everything is installed.
        "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{_WORKER_POOL_PORT}",
        "--sdk_location=container",
        f"--parallelism={settings.flink.workers}",
    )


def manifests(settings: LaunchSettings) -> dict[str, list[Object]]:
    """The Ray cluster, Flink, and the job that submits to it.

    Only pods of the launch may speak to Ray; a token would have to reach Beam's worker pool.
    """
    order = order_of(settings, ray_address(settings), beam_options(settings))
    return (
        common(settings, order)
        | {"ray-client.yaml": [ray_client_service(settings)]}
        | {"flink.yaml": flink_objects(settings)}
        | ray_files(settings, "disabled")
    )


def flink_objects(settings: LaunchSettings) -> list[Object]:
    """A session cluster and Beam's job server."""
    flink, name = settings.flink, settings.job.name
    manager = f"{name}-job-manager"
    properties = "\n".join(
        (
            f"jobmanager.rpc.address: {manager}",
            "taskmanager.numberOfTaskSlots: 1",
            "parallelism.default: 1",
            f"blob.server.port: {_BLOB}",
        )
    )
    environment = [{"name": "FLINK_PROPERTIES", "value": properties}]
    job_manager = _flink_container("jobmanager", flink.image, ["jobmanager"], environment)
    job_manager["ports"] = [{"containerPort": port} for port in (_RPC, _BLOB, _REST)]
    server = _flink_container(
        "job-server",
        flink.job_server_image,
        [
            f"--flink-master={manager}:{_REST}",
            "--job-host=0.0.0.0",
            f"--job-port={_JOB_PORT}",
            f"--artifact-port={_ARTIFACT_PORT}",
            f"--expansion-port={_EXPANSION_PORT}",
        ],
        [],
    )
    server["ports"] = [{"containerPort": port} for port in (_JOB_PORT, _ARTIFACT_PORT)]
    task_manager = _flink_container("taskmanager", flink.image, ["taskmanager"], environment)
    task_manager["resources"] = resources(flink.worker_cpus, flink.worker_memory)
    return [
        _deployment(settings, "job-manager", 1, [job_manager]),
        _service(settings, "job-manager", {"rpc": _RPC, "blob": _BLOB, "rest": _REST}),
        _deployment(settings, "task-manager", flink.workers, [task_manager, _pool(settings)]),
        _deployment(settings, "job-server", 1, [server]),
        _service(settings, "job-server", {"job": _JOB_PORT, "artifacts": _ARTIFACT_PORT}),
    ]


def _flink_container(
    name: str, image: str, arguments: list[str], environment: list[Object]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "args": arguments,
        "env": environment,
        "resources": resources(1, 2),
        "securityContext": container_security() | {"runAsUser": _FLINK_UID},
    }


def _pool(settings: LaunchSettings) -> Object:
    """Beam's Python workers: started by the task manager through this port."""
    flink = settings.flink
    return {
        "name": "beam-workers",
        "image": settings.image.cpu,
        "args": ["--worker_pool"],
        "ports": [{"containerPort": _WORKER_POOL_PORT}],
        "resources": resources(flink.worker_cpus, flink.worker_memory),
        "securityContext": container_security(),
    }


def _deployment(
    settings: LaunchSettings, component: str, replicas: int, containers: list[Any]
) -> Object:
    selected = labels(settings, component)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(settings, component),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selected},
            "template": {
                "metadata": {"labels": selected},
                "spec": {
                    # Beam's workers write the dataset, as the driver does.
                    "serviceAccountName": account_name(settings, "driver"),
                    "automountServiceAccountToken": False,
                    "securityContext": pod_security(),
                    "containers": containers,
                },
            },
        },
    }


def _service(settings: LaunchSettings, component: str, ports: dict[str, int]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(settings, component),
        "spec": {
            "selector": labels(settings, component),
            "ports": [
                {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
                for name, port in ports.items()
            ],
        },
    }


def _metadata(settings: LaunchSettings, component: str) -> Object:
    return {
        "name": f"{settings.job.name}-{component}",
        "namespace": settings.target.namespace,
        "labels": labels(settings, component),
    }
