"""A launch on Kubernetes: objects for the KubeRay operator, made from settings alone.

Every target but `local-cluster` uses them: Dataflow and Flink bring Beam's workers, the trackers
run on the same Ray cluster. Fields are those of KubeRay 1.6 (ray.io/v1).
"""

from __future__ import annotations

from typing import Any, Literal

from pipelines.launch.driver import Order, order_of
from pipelines.launch.objects import (
    ORDER_FILE,
    RAY_CLIENT_PORT,
    SETTINGS_FOLDER,
    Object,
    account_name,
    config_map,
    container_security,
    disruption_budget,
    instance,
    labels,
    namespace,
    network_policy,
    pod_security,
    resources,
    service_accounts,
)
from pipelines.launch.settings import LaunchSettings

RAY_VERSION = "2.60.0"
"""Of the images; every Ray process must be of one version."""
CPU_GROUP = "cpu"
GPU_GROUP = "gpu"
_LOGS = "ray-logs"
_JOB = "job"
_SPOT = "cloud.google.com/gke-spot"

AuthMode = Literal["token", "disabled"]


def manifests(settings: LaunchSettings) -> dict[str, list[Object]]:
    """Every object of a KubeRay launch, by the file it belongs to, in the order to apply them."""
    return common(settings, order_of(settings)) | ray_files(settings, "token")


def common(
    settings: LaunchSettings, order: Order, client_ranges: tuple[str, ...] = ()
) -> dict[str, list[Object]]:
    """What stands around a Ray cluster."""
    return {
        "namespace.yaml": [namespace(settings)],
        "service-accounts.yaml": service_accounts(settings),
        "network-policy.yaml": [network_policy(settings, client_ranges)],
        "disruption-budget.yaml": [disruption_budget(settings)],
        "job-settings.yaml": [config_map(settings, order.to_json())],
    }


def ray_files(settings: LaunchSettings, auth: AuthMode) -> dict[str, list[Object]]:
    """The job, and the cluster where it is to outlive the job."""
    files = {}
    if settings.kuberay.keep_cluster:
        files["raycluster.yaml"] = [ray_cluster(settings, auth)]
    files["rayjob.yaml"] = [ray_job(settings, auth)]
    return files


def ray_cluster(settings: LaunchSettings, auth: AuthMode) -> Object:
    """A cluster on its own."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": _metadata(settings),
        "spec": cluster_spec(settings, auth),
    }


def ray_job(settings: LaunchSettings, auth: AuthMode) -> Object:
    """A job that brings its cluster, or one that uses the cluster of `ray_cluster`.

    When the head is lost, so is the cluster; a new one is made, and the extraction goes on where
    it was.
    """
    spec: Object = {
        "entrypoint": f"python -m pipelines.launch.driver {SETTINGS_FOLDER}/{ORDER_FILE}",
        "submissionMode": "K8sJobMode",
        "submitterConfig": {"backoffLimit": 2},
        "submitterPodTemplate": _submitter(settings),
    }
    if settings.kuberay.keep_cluster:
        spec["clusterSelector"] = {"ray.io/cluster": settings.job.name}
    else:
        spec |= {
            "backoffLimit": settings.kuberay.attempts - 1,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 300,
            "rayClusterSpec": cluster_spec(settings, auth),
        }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": _metadata(settings),
        "spec": spec,
    }


def cluster_spec(settings: LaunchSettings, auth: AuthMode) -> Object:
    """Head, CPU workers and GPU workers, scaled from nothing by what the run asks for."""
    ray = settings.kuberay
    groups = [_cpu_group(settings)] if ray.cpu_workers else []
    if ray.gpus:
        groups.append(_gpu_group(settings))
    return {
        "rayVersion": RAY_VERSION,
        "authOptions": {"mode": auth},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "idleTimeoutSeconds": ray.idle_s,
            "upscalingMode": "Default",
            "securityContext": container_security(),
            "resources": {
                "requests": {"cpu": "500m", "memory": "1Gi"},
                "limits": {"cpu": "500m", "memory": "1Gi"},
            },
        },
        "headGroupSpec": _head(settings),
        "workerGroupSpecs": groups,
    }


def head_image(settings: LaunchSettings) -> str:
    """The driver runs on the head, and Dataflow's needs more than the others'."""
    return settings.image.dataflow if settings.target.name == "dataflow" else settings.image.cpu


def _head(settings: LaunchSettings) -> Object:
    ray = settings.kuberay
    container = {
        "name": "ray-head",
        "image": head_image(settings),
        "resources": resources(ray.head_cpus, ray.head_memory),
        "securityContext": container_security(),
        "ports": [
            {"containerPort": 6379, "name": "gcs-server"},
            {"containerPort": 8265, "name": "dashboard"},
            {"containerPort": RAY_CLIENT_PORT, "name": "client"},
        ],
        "env": _environment(),
        "volumeMounts": [
            {"name": _LOGS, "mountPath": "/tmp/ray"},
            {"name": _JOB, "mountPath": SETTINGS_FOLDER, "readOnly": True},
        ],
    }
    pod = _pod(settings, "driver", container) | {
        # Everything hangs on the head: not on a node that may go at any time.
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": _SPOT, "operator": "DoesNotExist"}]}
                    ]
                }
            }
        },
    }
    pod["volumes"].append({"name": _JOB, "configMap": {"name": f"{settings.job.name}-job"}})
    return {
        # No trackers on the head: it holds the driver, and the driver decides the pool by what the
        # workers have.
        "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},
        "template": {
            "metadata": {
                "labels": labels(settings, "head"),
                "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
            },
            "spec": pod,
        },
    }


def _cpu_group(settings: LaunchSettings) -> Object:
    ray = settings.kuberay
    container = _worker(settings.image.cpu, resources(ray.cpu_worker_cpus, ray.cpu_worker_memory))
    pod = _pod(settings, "worker", container) | _spot(ray.spot)
    return _group(settings, CPU_GROUP, ray.cpu_workers, pod)


def _gpu_group(settings: LaunchSettings) -> Object:
    ray = settings.kuberay
    asked = resources(ray.gpu_worker_cpus, ray.gpu_worker_memory, **{"nvidia.com/gpu": 1})
    pod = _pod(settings, "worker", _worker(settings.image.cuda, asked))
    where = _spot(ray.spot).get("nodeSelector", {})
    pod["nodeSelector"] = {"cloud.google.com/gke-accelerator": ray.gpu_type, **where}
    pod["tolerations"] = [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        *_spot(ray.spot).get("tolerations", []),
    ]
    return _group(settings, GPU_GROUP, ray.gpus, pod)


def _group(settings: LaunchSettings, name: str, most: int, pod: Object) -> Object:
    return {
        "groupName": name,
        "replicas": 0,
        "minReplicas": 0,
        "maxReplicas": most,
        "rayStartParams": {},
        "template": {
            "metadata": {"labels": labels(settings, f"worker-{name}")},
            "spec": pod,
        },
    }


def _worker(image: str, asked: Object) -> Object:
    return {
        "name": "ray-worker",
        "image": image,
        "resources": asked,
        "securityContext": container_security(),
        "env": _environment(),
        "volumeMounts": [{"name": _LOGS, "mountPath": "/tmp/ray"}],
    }


def _pod(settings: LaunchSettings, role: str, container: Object) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "serviceAccountName": account_name(settings, role),
        "securityContext": pod_security(),
        # A spot node gives 25 seconds; a clip takes less.
        "terminationGracePeriodSeconds": 20,
        "containers": [container],
        "volumes": [{"name": _LOGS, "emptyDir": {}}],
    }
    return pod


def _submitter(settings: LaunchSettings) -> Object:
    """The pod that hands the job to the head and prints what it says."""
    return {
        "metadata": {"labels": instance(settings) | {"app.kubernetes.io/component": "submitter"}},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": account_name(settings, "worker"),
            "securityContext": pod_security(),
            "containers": [
                {
                    "name": "ray-job-submitter",
                    "image": settings.image.cpu,
                    "securityContext": container_security(),
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "512Mi"},
                        "limits": {"cpu": "1", "memory": "1Gi"},
                    },
                }
            ],
        },
    }


def _spot(spot: bool) -> Object:
    if not spot:
        return {}
    return {
        "nodeSelector": {_SPOT: "true"},
        "tolerations": [
            {"key": _SPOT, "operator": "Equal", "value": "true", "effect": "NoSchedule"}
        ],
    }


def _environment() -> list[Object]:
    return [{"name": "RAY_USAGE_STATS_ENABLED", "value": "0"}]


def _metadata(settings: LaunchSettings) -> Object:
    return {
        "name": settings.job.name,
        "namespace": settings.target.namespace,
        "labels": labels(settings, "ray"),
    }
