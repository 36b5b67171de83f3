"""The pages of docs/launch: links that lead somewhere, figures and settings that are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from infra_files import CHECKOUT, INFRA

from pipelines.launch import TARGETS, LaunchSettings, launch_from_dict
from pipelines.launch.plan import hourly_cost

PAGES = sorted((CHECKOUT / "docs" / "launch").glob("*.md"))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as they are made on the web."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def example(target: str) -> LaunchSettings:
    import tomllib

    text = (INFRA / "settings.example.toml").read_text(encoding="utf-8")
    return launch_from_dict(tomllib.loads(text), target)


def test_there_is_a_page_for_every_target() -> None:
    assert {page.stem for page in PAGES} == {*TARGETS, "README"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("target", ["kuberay", "dataflow", "flink"])
def test_costs_are_those_of_the_example(target: str) -> None:
    text = (CHECKOUT / "docs" / "launch" / f"{target}.md").read_text(encoding="utf-8")
    assert f"{hourly_cost(example(target)):.2f} USD an hour" in text


def test_the_example_run_is_reckoned_right() -> None:
    text = (CHECKOUT / "docs" / "launch" / "kuberay.md").read_text(encoding="utf-8")
    rate, hours, money = (
        float(re.sub(r"\s+", " ", found))
        for found in re.findall(
            r"tracked (\S+) clips a second .*?take\s+(\S+) hours and (\S+) USD", text, re.DOTALL
        )[0]
    )
    settings = example("kuberay")
    wanted = 1e6 / (settings.kuberay.gpus * rate * 3600)
    assert hours == pytest.approx(wanted, abs=0.05)
    assert money == pytest.approx(wanted * hourly_cost(settings), abs=0.5)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_settings_that_are_named_exist(page: Path) -> None:
    settings = LaunchSettings()
    tables = "job|target|image|kuberay|dataflow|flink|prices"
    for table, name in re.findall(rf"`({tables})\.(\w+)`", page.read_text(encoding="utf-8")):
        assert hasattr(getattr(settings, table), name), f"{table}.{name}"
