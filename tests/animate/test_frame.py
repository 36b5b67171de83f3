"""Where the model's square lies in the photo, and what is asked in its pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from animate.frame import controls_in_frame, model_frame, model_image
from animate.settings import AnimationSettings
from models.animation import Box, Drag, Pin

WIDTH, HEIGHT, SIZE = 120, 80, 64


def frame_of(**settings: object) -> Box:
    return model_frame(WIDTH, HEIGHT, AnimationSettings(**settings))  # type: ignore[arg-type]


def test_crop_is_the_square_in_the_middle_and_fit_the_one_around() -> None:
    assert frame_of(fit="crop") == Box(20, 0, 80, 80)
    assert frame_of(fit="fit") == Box(0, -20, 120, 120)
    assert model_frame(80, 120, AnimationSettings(fit="fit")) == Box(-20, 0, 120, 120)


@pytest.mark.parametrize(
    "settings, whole",
    [
        ({}, False),
        ({"pins": (Pin(60, 40),)}, False),
        ({"pins": (Pin(5, 40),)}, True),
        ({"drags": (Drag(60, 40, 118, 40),)}, True),
        ({"drags": (Drag(60, 40, 70, 40),)}, False),
        ({"mask": np.zeros((80, 120), bool)}, True),
    ],
)
def test_auto_sees_all_of_the_photo_where_something_is_asked_beside_the_square(
    settings: dict[str, object], whole: bool
) -> None:
    assert frame_of(**settings) == frame_of(fit="fit" if whole else "crop")


@pytest.mark.parametrize("fit", ["crop", "fit"])
def test_the_picture_is_where_the_frame_says(fit: str) -> None:
    # A ramp: red says where x was in the photo, green where y was.
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    photo = np.stack((2 * x, 3 * y, 0 * x), axis=-1).astype(np.uint8)
    frame = frame_of(fit=fit)
    image = model_image(photo, frame, SIZE)
    assert image.shape == (1, 3, SIZE, SIZE)
    centres = (torch.arange(SIZE) + 0.5) * (frame.width / SIZE)
    expected_x = 2 * (centres + frame.x - 0.5)
    expected_y = 3 * (centres + frame.y - 0.5)
    red, green = (image[0, :2] + 1) * 127.5
    inner = slice(12, SIZE - 12)  # without the borders of "fit"
    assert (red[inner, inner] - expected_x[inner]).abs().max() < 2
    assert (green[inner, inner] - expected_y[inner, None]).abs().max() < 3
    assert torch.isfinite(image).all()


def test_borders_beyond_the_photo_repeat_its_edge() -> None:
    photo = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    assert model_image(photo, frame_of(fit="fit"), SIZE).min() > 0.999


def test_a_photo_of_16_pixels_gives_a_whole_image() -> None:
    photo = np.full((16, 16, 3), 128, np.uint8)
    image = model_image(photo, model_frame(16, 16, AnimationSettings()), 256)
    assert image.shape == (1, 3, 256, 256)


def test_controls_are_moved_and_scaled_with_the_frame() -> None:
    settings = AnimationSettings(
        drags=(Drag(20, 0, 100, 80),), pins=(Pin(60, 40),), strength=2, loop=True
    )
    controls = controls_in_frame(settings, frame_of(fit="crop"), (WIDTH, HEIGHT), SIZE)
    assert controls.drags == (Drag(0, 0, 64, 64),)
    assert controls.pins == (Pin(32, 32),)
    assert (controls.strength, controls.loop) == (2, True)


@pytest.mark.parametrize("fit", ["crop", "fit"])
def test_the_mask_keeps_its_place(fit: str) -> None:
    mask = np.zeros((HEIGHT * 2, WIDTH * 2), bool)  # of another resolution than the photo
    mask[:, 120:] = True  # the right half
    settings = AnimationSettings(mask=mask, fit=fit)  # type: ignore[arg-type]
    frame = frame_of(fit=fit)
    controls = controls_in_frame(settings, frame, (WIDTH, HEIGHT), SIZE)
    still = controls.still
    assert still is not None
    side = still.shape[0]
    assert still.shape == (side, side)
    # Continued beyond the photo, where there is something beyond.
    assert not still[:, : side // 2].any()
    assert still[:, side // 2 :].all()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"drags": (Drag(130, 10, 20, 20),)}, ("drag 1 starts at (130, 10)", "120x80")),
        ({"drags": (Drag(50, 10, 60, 10), Drag(60, 40, 60, -1))}, ("drag 2 ends at (60, -1)",)),
        ({"pins": (Pin(60, 81),)}, ("pin 1 is at (60, 81)", "outside the photo")),
        ({"pins": (Pin(5, 40),), "fit": "crop"}, ("pin 1", "--fit fit")),
        ({"mask": np.zeros((80, 80), bool)}, ("80x80", "120x80", "proportions")),
    ],
)
def test_what_cannot_be_met_is_refused_in_words(
    settings: dict[str, object], words: tuple[str, ...]
) -> None:
    asked = AnimationSettings(**settings)  # type: ignore[arg-type]
    frame = model_frame(WIDTH, HEIGHT, asked)
    with pytest.raises(ValueError) as caught:
        controls_in_frame(asked, frame, (WIDTH, HEIGHT), SIZE)
    for word in words:
        assert word in str(caught.value)
