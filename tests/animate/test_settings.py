"""Settings out of range are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from animate import AnimationSettings


@pytest.mark.parametrize(
    "name, value",
    [
        ("samples", 65),
        ("steps", 0),
        ("pixel_steps", -1),
        ("strength", 4.5),
        ("strength", float("inf")),
        ("guidance", 21),
        ("temperature", -0.1),
        ("fps", 0),
    ],
)
def test_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is"):
        AnimationSettings(**{name: value})


def test_the_least_and_the_most_are_fine() -> None:
    AnimationSettings(samples=64, strength=0, pixel_steps=0, temperature=2, fps=60)
