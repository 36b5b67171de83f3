"""Kubernetes objects that every launch makes, whatever runs beside them."""

from __future__ import annotations

from typing import Any

from pipelines.launch.settings import LaunchSettings

Object = dict[str, Any]

SETTINGS_FOLDER = "/etc/tapirus"
ORDER_FILE = "job.json"
RAY_CLIENT_PORT = 10001
_OPERATOR_NAMESPACE = "kuberay-operator"
_UID = 1000  # of the user in the images


def labels(settings: LaunchSettings, component: str) -> dict[str, str]:
    """Labels of one component of a launch; they select its pods."""
    return {
        "app.kubernetes.io/name": "tapirus",
        "app.kubernetes.io/instance": settings.job.name,
        "app.kubernetes.io/component": component,
    }


def instance(settings: LaunchSettings) -> dict[str, str]:
    """Labels that all pods of a launch share."""
    return {
        "app.kubernetes.io/name": "tapirus",
        "app.kubernetes.io/instance": settings.job.name,
    }


def account_name(settings: LaunchSettings, role: str) -> str:
    """Name of the Kubernetes service account of "driver" or "worker"."""
    return f"tapirus-{role}"


def namespace(settings: LaunchSettings) -> Object:
    """Refuses pods that are root or could become it."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": settings.target.namespace,
            "labels": {
                "app.kubernetes.io/name": "tapirus",
                "pod-security.kubernetes.io/enforce": "restricted",
            },
        },
    }


def service_accounts(settings: LaunchSettings) -> list[Object]:
    """The driver's, that may write the dataset, and the workers', that may read the videos.

    Only the driver's pod gets a token for Kubernetes: Ray's autoscaler runs in it, and the KubeRay
    operator binds the role that the autoscaler needs.
    """
    made = []
    for role, google, token in (
        ("driver", settings.target.driver_account, True),
        ("worker", settings.target.worker_account, False),
    ):
        annotations = {"iam.gke.io/gcp-service-account": google} if google else {}
        made.append(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": _named(settings, account_name(settings, role), role)
                | ({"annotations": annotations} if annotations else {}),
                "automountServiceAccountToken": token,
            }
        )
    return made


def network_policy(settings: LaunchSettings, client_ranges: tuple[str, ...] = ()) -> Object:
    """Who may reach the run's pods: each other, and the operator that asks how the job goes.

    client_ranges: addresses outside the cluster that may speak to Ray's client port.
    """
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": _OPERATOR_NAMESPACE}}
    }
    rules: list[Object] = [
        {"from": [{"podSelector": {"matchLabels": instance(settings)}}]},
        # Jobs and their state are asked for at the dashboard's port.
        {"from": [operator], "ports": [{"protocol": "TCP", "port": 8265}]},
    ]
    if client_ranges:
        rules.append(
            {
                "from": [{"ipBlock": {"cidr": cidr}} for cidr in client_ranges],
                "ports": [{"protocol": "TCP", "port": RAY_CLIENT_PORT}],
            }
        )
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _named(settings, settings.job.name, "network"),
        "spec": {
            "podSelector": {"matchLabels": instance(settings)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def disruption_budget(settings: LaunchSettings) -> Object:
    """Keeps the head where it is when nodes are drained; workers may go, their work is redone."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _named(settings, f"{settings.job.name}-head", "head"),
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": labels(settings, "head")}},
    }


def config_map(settings: LaunchSettings, order: str) -> Object:
    """What the driver is to do; see `pipelines.launch.driver`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _named(settings, f"{settings.job.name}-job", "driver"),
        "data": {ORDER_FILE: order},
    }


def ray_client_service(settings: LaunchSettings, **spec: Any) -> Object:
    """Where Beam's workers find Ray, under a name or address that outlives a cluster."""
    annotations = spec.pop("annotations", None)
    metadata = _named(settings, f"{settings.job.name}-ray", "head")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata | ({"annotations": annotations} if annotations else {}),
        "spec": {
            "type": "ClusterIP",
            "selector": labels(settings, "head"),
            "ports": [
                {"name": "client", "port": RAY_CLIENT_PORT, "targetPort": RAY_CLIENT_PORT,
                 "protocol": "TCP"}
            ],
            **spec,
        },
    }  # fmt: skip


def pod_security(uid: int = _UID) -> Object:
    """What the restricted profile asks of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Object:
    """What the restricted profile asks of a container."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def resources(cpus: int, memory: int, **more: int) -> Object:
    """Requests that are limits as well, GiB of memory: Ray believes what it reads there."""
    amounts = {"cpu": str(cpus), "memory": f"{memory}Gi"}
    amounts |= {name: str(value) for name, value in more.items()}
    return {"requests": amounts, "limits": dict(amounts)}


def _named(settings: LaunchSettings, name: str, component: str) -> Object:
    return {
        "name": name,
        "namespace": settings.target.namespace,
        "labels": labels(settings, component),
    }
