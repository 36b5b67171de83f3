"""What the training of the two animation models does not share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.training.animation.config import RunConfig
from pipelines.training.animation.loader import Example, FramePick

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

Picture = Callable[
    [Any, Any, Sequence[Example], RunConfig],
    "UInt8[np.ndarray, 'h w 3']",
]


@dataclass(frozen=True)
class Kind:
    """One of the models, as a run sees it."""

    name: str
    config: type[RunConfig]
    pick: FramePick
    """Which frames of a clip are read."""
    model: type[Any]
    objective: Callable[[Any], Any]
    """An `Objective` around a new model, from the configuration."""
    picture: Picture
    """Samples for some held-out clips, drawn."""


def make_model(cls: type[Any], settings: dict[str, Any], **derived: Any) -> Any:
    """A model with arguments from a configuration file, and those that follow from the rest.

    Raises ValueError naming the argument that the class does not know, or that is not free.
    """
    known = set(inspect.signature(cls.__init__).parameters) - {"self"}
    for name in settings:
        if name in derived:
            raise ValueError(f"model.{name} follows from the other settings: leave it out")
        if name not in known:
            free = ", ".join(sorted(known - set(derived)))
            raise ValueError(f"unknown setting 'model.{name}' of {cls.__name__} (known: {free})")
    try:
        return cls(**settings, **derived)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"model: {error}") from error
