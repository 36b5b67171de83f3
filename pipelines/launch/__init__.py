"""Launching: from one settings file to a running job on a cluster.

`settings` and `checks` read and check; `kuberay`, `dataflow` and `flink` decide what a cluster is
told, and `plan` gathers it; `cluster_launch` and `local_cluster` do it. `driver` runs on the
cluster.
"""

from pipelines.launch.checks import check, load_launch
from pipelines.launch.cluster_launch import launch_on_kubernetes, watching
from pipelines.launch.errors import LaunchError
from pipelines.launch.local_cluster import LocalCluster, launch_local, local_cluster
from pipelines.launch.plan import LaunchPlan, make_plan, write_plan
from pipelines.launch.settings import (
    TARGETS,
    LaunchSettings,
    launch_from_dict,
    with_values,
)

__all__ = [
    "TARGETS",
    "LaunchError",
    "LaunchPlan",
    "LaunchSettings",
    "LocalCluster",
    "check",
    "launch_from_dict",
    "launch_local",
    "launch_on_kubernetes",
    "load_launch",
    "local_cluster",
    "make_plan",
    "watching",
    "with_values",
    "write_plan",
]
