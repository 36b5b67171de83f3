"""The settings file: read, checked before anything starts, refused with one line that helps."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.extract import ExtractSettings, SettingsError
from pipelines.launch import LaunchSettings, check, launch_from_dict, load_launch, with_values
from pipelines.launch.settings import Job

EXAMPLE = Path(__file__).resolve().parents[3] / "infra" / "settings.example.toml"
# What everyone has to fill in; the rest of the example shows the defaults.
OWN = {
    "job.name", "job.inputs", "job.output", "job.extract", "target.project", "target.region",
    "target.driver_account", "target.worker_account", "image.repository", "image.tag",
    "dataflow.ray_host", "dataflow.subnetwork", "dataflow.source_ranges",
    "dataflow.worker_account", "dataflow.temp", "prices.gpu_hour", "prices.cpu_hour",
    "prices.gb_month",
}  # fmt: skip

TOML = """
[job]
inputs = ["gs://b/in/*.mp4", "gs://b/list.csv"]
output = "gs://b/out"
[job.extract]
grid = 16
[job.extract.clip]
fps = 12
[image]
repository = "registry/x"
tag = "1"
[local-cluster]
nodes = 3
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(TOML)
    settings = load_launch(file)
    assert settings.job.inputs == ("gs://b/in/*.mp4", "gs://b/list.csv")
    assert settings.job.extract == dataclasses.replace(
        ExtractSettings(), grid=16, clip=dataclasses.replace(ExtractSettings().clip, fps=12)
    )
    assert settings.local_cluster.nodes == 3
    assert settings.target.name == "kuberay"
    assert load_launch(file, "flink").target.name == "flink"
    assert settings.image.cuda == "registry/x/tapirus-cuda:1"


@pytest.mark.parametrize(
    "before, after, wanted",
    [
        ("grid = 16", "gird = 16", 'did you mean "grid"'),
        ("grid = 16", 'grid = "x"', "grid is 'x': must be a whole number"),
        ("grid = 16", "grid = 0", "must be at least 1"),
        ("grid = 16", 'ray_address = "a:1"', "set by the launch"),
        ("nodes = 3", "node = 3", "did you mean 'local_cluster.nodes'"),
        ("nodes = 3", "nodes = 0", "local_cluster.nodes is 0: must be at least 1"),
        ("nodes = 3", 'nodes = "3"', "must be of type int"),
        ("[image]", "[imagee]", "did you mean 'image'"),
        ("[job]", "[job]\nnmae = 'x'", "did you mean 'job.name'"),
        ("[job]", "[job]\nname = 'My Run'", "lower case letters"),
        ('tag = "1"', 'tag = "latest"', "name a version"),
        ('tag = "1"', "", "image.tag is missing"),
        ('output = "gs://b/out"', "", "job.output is missing"),
        ('output = "gs://b/out"', 'output = "out"', "lies on this machine"),
        ('"gs://b/list.csv"', '"list.csv"', "list.csv lies on this machine"),
        ('"gs://b/list.csv"', "3", "must be a list of texts"),
        ("[image]", "[kuberay]\ngpus = 2\nleast_gpus = 4\n[image]", "at most kuberay.gpus, 2"),
        ("[image]", "[kuberay]\ngpus = 0\ncpu_workers = 0\n[image]", "nothing could track"),
        ("[image]", "[target]\nname = 'kubray'\n[image]", "choose one of kuberay"),
        ("[image]", "[target]\ndriver_account = 'me'\n[image]", "NAME@PROJECT.iam"),
        ("[image]", "[target]\nnamespace = 'A_b'\n[image]", "target.namespace"),
        ("[image]", "[prices]\ngpu_hour = -1\n[image]", "must be at least 0"),
        ("[image]", "[image", "Expected"),
        ("grid = 16", "clip = 3", "table|clip"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, before: str, after: str, wanted: str
) -> None:
    assert before in TOML
    file = tmp_path / "run.toml"
    text = TOML.replace(before, after)
    if "clip = 3" in after:
        text = text.replace("[job.extract.clip]\nfps = 12\n", "")
    file.write_text(text)
    with pytest.raises(SettingsError, match=wanted) as caught:
        load_launch(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    "table, key",
    [("target", "project"), ("target", "region"), ("dataflow", "ray_host"), ("dataflow", "temp"),
     ("dataflow", "source_ranges")],
)  # fmt: skip
def test_dataflow_names_what_it_misses(
    make_settings: Callable[..., LaunchSettings], table: str, key: str
) -> None:
    make_settings("dataflow")
    make_settings("kuberay", **{table: {key: ""}})
    with pytest.raises(SettingsError, match=f"{table}.{key} is missing: --target dataflow"):
        make_settings("dataflow", **{table: {key: ""}})


def test_this_machine_needs_no_image_and_takes_paths() -> None:
    check(launch_from_dict({"job": {"inputs": ["a.mp4"], "output": "out"}}, "local-cluster"))


def test_the_example_is_whole_and_shows_the_defaults() -> None:
    values = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    settings = launch_from_dict(values)
    shown = {f"{table}.{name}" for table, body in values.items() for name in body}
    for item in dataclasses.fields(LaunchSettings):
        table = item.name.replace("_", "-") if item.name == "local_cluster" else item.name
        made, default = getattr(settings, item.name), getattr(LaunchSettings(), item.name)
        for part in dataclasses.fields(made):
            key = f"{table}.{part.name}"
            assert key in shown, f"{key} is not in the example"
            if key not in OWN:
                assert getattr(made, part.name) == getattr(default, part.name), key


def test_the_example_passes_once_it_is_filled_in(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match="driver_account"):
        load_launch(file)
    file.write_text(text.replace("PROJECT", "my-project").replace("BUCKET", "bucket"))
    for target in ("kuberay", "dataflow", "flink", "local-cluster"):
        load_launch(file, target)


def test_none_is_a_word_where_it_is_a_choice() -> None:
    extract = {"num_actors": "none", "tracker": "none", "clip": {"cut_threshold": "none"}}
    made = launch_from_dict({"job": {"extract": extract}}).job.extract
    assert made.num_actors is None
    assert made.clip.cut_threshold is None
    assert made.tracker == "none"  # a name, however odd


def test_values_are_changed_by_table(make_settings: Callable[..., LaunchSettings]) -> None:
    settings = make_settings()
    changed = with_values(settings, kuberay={"gpus": 3}, job={"name": "x"})
    assert (changed.kuberay.gpus, changed.job.name) == (3, "x")
    assert changed.image == settings.image
    assert settings.kuberay.gpus == 8


def test_settings_are_values() -> None:
    made: Any = Job(extract=ExtractSettings(grid=3))
    assert made == Job(extract=ExtractSettings(grid=3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "x"
