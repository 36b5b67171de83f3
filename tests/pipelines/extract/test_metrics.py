"""The page that Prometheus reads, and the files that read Prometheus."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_makers import RUN, snapshot

from pipelines.extract import ExtractError
from pipelines.extract.metrics import CONTENT_TYPE, METRICS, MetricsServer, metrics_text

OBSERVABILITY = Path(__file__).parents[3] / "infra" / "observability"
DASHBOARD = OBSERVABILITY / "grafana" / "dashboards" / "tapirus.json"
_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)+)\})? ([-+0-9.e]+)')


def parsed(page: str) -> dict[str, float]:
    """Samples of a page in Prometheus' text format, each line of which must be one of its kinds."""
    found: dict[str, float] = {}
    typed: set[str] = set()
    for line in page.splitlines():
        if line.startswith("# "):
            word, name, text = line.removeprefix("# ").split(" ", 2)
            assert word in ("HELP", "TYPE")
            if word == "TYPE":
                assert name not in typed  # all samples of a metric stand together
                assert text in ("gauge", "counter")
                typed.add(name)
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        assert match[1] in typed
        found[line.rpartition(" ")[0]] = float(match[3])
    assert not page or page.endswith("\n")
    return found


def test_every_figure_of_a_run() -> None:
    found = parsed(metrics_text(RUN, snapshot()))
    assert found["tapirus_clips_total"] == 40
    assert found["tapirus_tracks_total"] == 640
    assert found["tapirus_bytes_total"] == 5_000_000
    assert found['tapirus_failures_total{error="FloatingPointError"}'] == 1
    assert found['tapirus_queue_depth{queue="clips"}'] == 7
    assert found['tapirus_actor_wait_seconds_total{reason="decode"}'] == 2
    assert found["tapirus_actor_busy_ratio"] == 32 / (2 * 18)
    names = {name.partition("{")[0] for name in found}
    assert names == set(METRICS)  # all that are declared are served


def test_counters_are_called_totals() -> None:
    assert all(
        (kind == "counter") == name.endswith("_total") for name, (kind, _) in METRICS.items()
    )


def test_odd_names_are_escaped() -> None:
    import dataclasses

    odd = dataclasses.replace(RUN, output='/data/"a\\b\n\udce9')
    (sample,) = (key for key in parsed(metrics_text(odd, None)) if "run_info" in key)
    assert r'dataset="/data/\"a\\b\n?"' in sample


def test_before_the_first_word_there_is_an_empty_page() -> None:
    assert parsed(metrics_text(None, None)) == {}


def test_served_on_a_port() -> None:
    with MetricsServer(0, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.port}"
        server.begin(RUN)
        server.see(snapshot(), [])
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert parsed(answer.read().decode())["tapirus_clips_total"] == 40
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/", timeout=10)


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ExtractError, match=f"port {port} cannot be used .* --metrics-port"):
            MetricsServer(port, "127.0.0.1")


# -- infra/observability


def metric_names(text: str) -> set[str]:
    return set(re.findall(r"\btapirus_[a-z_]+", text))


def values(node: Any, key: str) -> Iterator[Any]:
    """Every value of a key, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from values(item, key)


def test_the_dashboard_asks_for_nothing_that_is_not_served() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [*values(dashboard, "expr"), *values(dashboard, "definition")]
    asked = set().union(*(metric_names(text) for text in expressions))
    assert asked - set(METRICS) == set()
    assert set(METRICS) - asked == set()  # nor is anything served that nobody sees
    for text in expressions:
        assert text.count("(") == text.count(")")
        assert text.count("{") == text.count("}")


def test_the_dashboards_labels_are_those_that_are_served() -> None:
    text = DASHBOARD.read_text()
    served = set(re.findall(r'([a-z]+)="', metrics_text(RUN, snapshot()))) | {"instance"}
    assert set(re.findall(r"by \(([a-z]+)\)", text)) <= served
    assert set(re.findall(r"\{\{([a-z]+)\}\}", text)) <= served
    stages = set(re.findall(r'stage=\\"([a-z]+)\\"', text))
    assert stages <= snapshot().seconds.keys()


def test_panels_neither_overlap_nor_share_a_number() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not mine & cells, panel["title"]
        cells |= mine


def test_alerts_ask_for_what_is_served_and_say_what_to_do() -> None:
    (group,) = yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())["groups"]
    assert group["rules"]
    for rule in group["rules"]:
        assert metric_names(rule["expr"]) <= set(METRICS)
        assert rule["annotations"].keys() == {"summary", "action"}
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_scrape_config_finds_its_rules() -> None:
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    assert [(OBSERVABILITY / name).is_file() for name in config["rule_files"]] == [True]
    jobs = [job["job_name"] for job in config["scrape_configs"]]
    assert len(set(jobs)) == len(jobs)


def test_grafana_is_told_where_the_dashboard_is() -> None:
    folder = OBSERVABILITY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((folder / "dashboards" / "tapirus.yaml").read_text())["providers"]
    assert source["type"] == "prometheus"
    assert provider["options"]["path"].endswith("/dashboards")
