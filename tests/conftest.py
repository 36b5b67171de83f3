"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

# Backward passes of some odd clip lengths abort inside torch where several threads share them
# (docs/training.md, known faults), and small tensors gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_CHECKOUT = Path(__file__).resolve().parents[1]


def _shared_root() -> Path:
    return Path(os.environ.get("TAPIRUS_SHARED", _CHECKOUT.parent / "shared"))


@pytest.fixture(scope="session")
def shared_root() -> Path:
    """Folder with reference clips and golden outputs; the test is skipped where it is missing."""
    root = _shared_root()
    if not root.is_dir():
        pytest.skip("no reference material: set TAPIRUS_SHARED to its folder")
    return root


@pytest.fixture(scope="session")
def shared_data(shared_root: Path) -> Path:
    """Folder with reference clips, photos and ground truth."""
    return shared_root / "data"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """No random state leaks from one test into the next."""
    random.seed(0)
    np.random.seed(0)
