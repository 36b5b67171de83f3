"""The tiny network, registered for the time of a test."""

from __future__ import annotations

import pytest

from models.tapir import CONFIGS
from tests.pipelines.training.training_makers import TINY


@pytest.fixture(autouse=True)
def tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, TINY.name, TINY)
