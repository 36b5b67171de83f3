"""Starting a run on Kubernetes: what is asked of the cluster first, and what is applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pipelines.launch.commands import Command, run
from pipelines.launch.errors import LaunchError
from pipelines.launch.plan import LaunchPlan
from pipelines.launch.settings import LaunchSettings

# Accounts and namespace stay: other launches use them, and they cost nothing.
_KINDS = "rayjob,raycluster,deployment,service,configmap,networkpolicy,poddisruptionbudget"
_OVER = ("Complete", "Failed")


def kubectl(settings: LaunchSettings, *arguments: str) -> tuple[str, ...]:
    """A kubectl command in the launch's context and namespace."""
    context = ("--context", settings.target.context) if settings.target.context else ()
    return ("kubectl", *context, "--namespace", settings.target.namespace, *arguments)


def before_apply(name: str, state: str) -> Literal["apply", "replace"]:
    """What to do about a job of this name that may be there. Decision only.

    state: KubeRay's jobDeploymentStatus, empty where there is no such job. A job that is over
    would not start again when applied. Raises LaunchError for one that runs.
    """
    if not state:
        return "apply"
    if state in _OVER:
        return "replace"
    raise LaunchError(
        f"the job {name} is there already and is {state.lower()}: watch it, stop it with `kubectl "
        f"delete rayjob {name}`, or give this one another job.name"
    )


def launch_on_kubernetes(
    settings: LaunchSettings, plan: LaunchPlan, say: Callable[[str], None]
) -> None:
    """Applies a plan's objects. What is there already is updated, a running job is not touched.

    Raises LaunchError.
    """
    name = settings.job.name
    try:
        run(kubectl(settings, "get", "crd", "rayjobs.ray.io", "--output", "name"))
    except LaunchError as error:
        if "NotFound" in str(error) or "not found" in str(error):
            raise LaunchError(
                "the cluster has no KubeRay operator: install it with helm, as "
                "docs/launch/kuberay.md says"
            ) from error
        raise
    state = run(
        kubectl(settings, "get", "rayjob", name, "--ignore-not-found",
                "--output", "jsonpath={.status.jobDeploymentStatus}{.metadata.name}")
    ).strip()  # fmt: skip
    # A job that was just made has no state yet, but a name.
    state = state.removesuffix(name) or ("Initializing" if state else "")
    if before_apply(name, state) == "replace":
        say(f"{name}: the last run is {state.lower()}, its job is replaced")
        run(kubectl(settings, "delete", "rayjob", name, "--wait=true"))
    for line in run(kubectl(settings, "apply", "--filename", "-"), plan.yaml()).splitlines():
        say(line)


def watching(settings: LaunchSettings) -> list[Command]:
    """How to look at a run, stop it and clean up."""
    name = settings.job.name
    selector = f"app.kubernetes.io/instance={name}"
    return [
        Command("state", kubectl(settings, "get", "rayjob", name)),
        Command("log", kubectl(settings, "logs", "--follow", f"job/{name}")),
        Command("nodes", kubectl(settings, "get", "pods", "--selector", selector)),
        Command("stop", kubectl(settings, "delete", "rayjob", name)),
        Command(
            "clean up",
            kubectl(settings, "delete", _KINDS,
                    "--selector", selector),
        ),
    ]  # fmt: skip
