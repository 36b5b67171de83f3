"""The pipeline: saved and read back, the same for a seed, and doing what it is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from PIL import Image

from animate import AnimationPipeline, AnimationSettings, Motion
from animate.pipeline import AnimationOutput
from models.animation import Box
from tests.animate.conftest import small_pipeline, textured
from tests.models.animation.small_animation import FRAMES, GRID, moved

WIDTH, HEIGHT = 120, 80
FEW = {"steps": 2, "pixel_steps": 1}


@pytest.fixture(scope="module")
def output(pipeline: AnimationPipeline) -> AnimationOutput:
    return pipeline(textured(WIDTH, HEIGHT), seed=5, samples=2, **FEW)


def at(motion: Motion, x: float, y: float) -> np.ndarray:
    """The track [t, 2] of the point at (x, y) of the photo, between those of the grid."""
    cell = motion.frame.width / GRID
    col, row = (x - motion.frame.x) / cell - 0.5, (y - motion.frame.y) / cell - 0.5
    c, r = int(col), int(row)
    corners = [
        (motion.tracks[:, :, r + dy, c + dx], abs(1 - dx - col + c) * abs(1 - dy - row + r))
        for dy in (0, 1)
        for dx in (0, 1)
    ]
    return np.sum([track * weight for track, weight in corners], axis=0)


def test_frames_and_trajectories_belong_to_the_photo(output: AnimationOutput) -> None:
    assert len(output.frames) == 2
    for frames in output.frames:
        assert frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
        assert frames.dtype == np.uint8
        assert np.array_equal(frames[0], textured(WIDTH, HEIGHT))
    assert output.trajectories.shape == (2, FRAMES, 2, GRID, GRID)
    assert output.visibility.shape == (2, FRAMES, GRID, GRID)
    # The square in the middle, x 20 to 100, in cells of 5 pixels.
    assert np.allclose(output.trajectories[:, 0, 0, 0], np.arange(GRID) * 5 + 22.5)
    assert np.allclose(output.trajectories[:, 0, 1, :, 0], np.arange(GRID) * 5 + 2.5)


def test_a_seed_gives_the_same_and_samples_do_not_depend_on_each_other(
    pipeline: AnimationPipeline, output: AnimationOutput
) -> None:
    second = pipeline(Image.fromarray(textured(WIDTH, HEIGHT)), seed=6, **FEW)
    np.testing.assert_allclose(second.trajectories[0], output.trajectories[1], atol=1e-3)
    assert np.abs(output.trajectories[0] - output.trajectories[1]).max() > 0.1


def test_a_generator_takes_the_place_of_the_seed(pipeline: AnimationPipeline) -> None:
    photo = textured(WIDTH, HEIGHT)
    one, two, other = (
        pipeline(photo, generator=torch.Generator().manual_seed(k), **FEW).trajectories
        for k in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_what_is_saved_is_read_back(
    model_folder: Path, output: AnimationOutput, tmp_path: Path
) -> None:
    assert json.loads((model_folder / "model_index.json").read_text())["_class_name"] == (
        "AnimationPipeline"
    )
    again = AnimationPipeline.from_pretrained(model_folder, torch_dtype=torch.float32)
    assert isinstance(again.trajectory_scheduler, DPMSolverMultistepScheduler)
    again.set_progress_bar_config(disable=True)
    result = again(textured(WIDTH, HEIGHT), seed=5, samples=2, **FEW)
    np.testing.assert_allclose(result.trajectories, output.trajectories, atol=1e-3)


def test_samplers_are_exchanged_and_stay_so_when_saved(tmp_path: Path) -> None:
    pipeline = small_pipeline()
    for name in ("trajectory_scheduler", "pixel_scheduler"):
        setattr(pipeline, name, DDIMScheduler.from_config(getattr(pipeline, name).config))
    photo = textured(WIDTH, HEIGHT)
    expected = pipeline(photo, **FEW)
    pipeline.save_pretrained(tmp_path)
    again = AnimationPipeline.from_pretrained(tmp_path, torch_dtype=torch.float32)
    assert isinstance(again.trajectory_scheduler, DDIMScheduler)
    assert isinstance(again.pixel_scheduler, DDIMScheduler)
    again.set_progress_bar_config(disable=True)
    np.testing.assert_allclose(again(photo, **FEW).trajectories, expected.trajectories, atol=1e-3)


def test_either_model_may_come_from_a_folder_of_its_own(model_folder: Path, tmp_path: Path) -> None:
    pipeline = AnimationPipeline.from_pretrained(
        tmp_path / "nowhere", trajectory=model_folder / "trajectory", pixel=model_folder / "pixel"
    )
    assert pipeline.trajectory_model.encoding.num_frames == FRAMES


def test_callbacks_hear_of_every_step(pipeline: AnimationPipeline) -> None:
    heard: list[tuple[str, int, int]] = []
    pipeline(
        textured(WIDTH, HEIGHT),
        steps=3,
        pixel_steps=2,
        callback=lambda stage, done, total: heard.append((stage, done, total)),
    )
    motion = [("motion", k, 3) for k in (1, 2, 3)]
    assert heard == motion + [("pixels", k, 2) for k in (1, 2)]


def test_drags_arrive_and_pins_stay_in_pixels_of_the_photo(pipeline: AnimationPipeline) -> None:
    settings = AnimationSettings(**FEW)
    output = pipeline(textured(WIDTH, HEIGHT), drags=[(60, 30, 75, 42)], pins=[(40.0, 60.0)], **FEW)
    motion = output.motions[0]
    assert np.abs(at(motion, 60, 30)[-1] - (75, 42)).max() < 1e-2
    assert np.abs(at(motion, 40, 60) - (40, 60)).max() < 1e-2
    free = pipeline.motions(textured(WIDTH, HEIGHT), settings)[0]
    assert np.abs(at(free, 60, 30)[-1] - (75, 42)).max() > 5  # it would not have gone there


def test_a_pin_beside_the_square_is_met_too(pipeline: AnimationPipeline) -> None:
    output = pipeline(textured(WIDTH, HEIGHT), pins=[(6.0, 40.0)], **FEW)
    motion = output.motions[0]
    assert motion.frame == Box(0, -20, 120, 120)
    assert np.abs(at(motion, 6, 40) - (6, 40)).max() < 1e-2


def test_without_strength_nothing_moves(pipeline: AnimationPipeline) -> None:
    output = pipeline(textured(WIDTH, HEIGHT), strength=0, steps=2, pixel_steps=0)
    still = output.trajectories[0] - output.trajectories[0][:1]
    assert np.abs(still).max() < 1e-3
    difference = output.frames[0].astype(int) - textured(WIDTH, HEIGHT)
    assert np.abs(difference).max() <= 1


def test_what_the_mask_covers_keeps_still(pipeline: AnimationPipeline) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, :60] = True
    output = pipeline(textured(WIDTH, HEIGHT), mask=mask, steps=2, pixel_steps=0)
    photo = textured(WIDTH, HEIGHT)[:, :56].astype(int)
    assert np.abs(output.frames[0][:, :, :56] - photo).max() <= 1
    moving = output.trajectories[0] - output.trajectories[0][:1]
    assert np.abs(moving[:, :, :, GRID * 3 // 4 :]).max() > 0.1


def test_a_loop_comes_back(pipeline: AnimationPipeline) -> None:
    photo = textured(WIDTH, HEIGHT)
    loop = pipeline(photo, loop=True, drags=[(60, 40, 80, 40)], **FEW).trajectories[0]
    x = loop[:, 0, GRID // 2, GRID // 2]
    steps = np.abs(np.diff(np.append(x, x[0])))
    assert steps[-1] < steps.max() / 2  # the step back to the start is one of the small ones
    assert x.argmax() == FRAMES // 2


@pytest.mark.parametrize("pixel_steps", [0, 1])
def test_given_trajectories_are_followed(pipeline: AnimationPipeline, pixel_steps: int) -> None:
    # Everything moves by 10 pixels of the photo, 8 of the model frame of 64 over 80.
    tracks = moved(8, 0)[0].numpy() * 1.25 + np.array([20.0, 0])[:, None, None]
    motion = Motion(
        tracks=tracks.astype(np.float32),
        visible=np.ones((FRAMES, GRID, GRID), np.float32),
        frame=Box(20, 0, 80, 80),
        photo_size=(WIDTH, HEIGHT),
        fps=15.0,
    )
    photo = textured(WIDTH, HEIGHT)
    output = pipeline(photo, motion=motion, pixel_steps=pixel_steps)
    last = output.frames[0][-1].astype(int)
    assert np.abs(last[:, 25:] - photo[:, 15:-10]).max() <= 2
    np.testing.assert_allclose(output.trajectories[0], motion.tracks, atol=1e-3)


def test_a_frame_that_is_no_square_keeps_its_proportions(pipeline: AnimationPipeline) -> None:
    # A grid over all of the photo: cells of 7.5 x 5 pixels; down by 15 pixels, across by 9.
    scale = np.array([WIDTH / 64, HEIGHT / 64])[:, None, None]
    tracks = moved(9 / scale[0, 0, 0], 15 / scale[1, 0, 0])[0].numpy() * scale
    motion = Motion(
        tracks=tracks.astype(np.float32),
        visible=np.ones((FRAMES, GRID, GRID), np.float32),
        frame=Box(0, 0, WIDTH, HEIGHT),
        photo_size=(WIDTH, HEIGHT),
        fps=15.0,
    )
    photo = textured(WIDTH, HEIGHT)
    output = pipeline(photo, motion=motion, pixel_steps=1)
    last = output.frames[0][-1].astype(int)
    assert np.abs(last[18:, 12:] - photo[3:-15, 3:-9]).max() <= 2


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)],
)
def test_what_is_no_rgb_picture_is_refused(pipeline: AnimationPipeline, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        pipeline(image)


@pytest.mark.parametrize(
    "name, value",
    [("samples", 0), ("strength", -1), ("fit", "stretch"), ("guidance", float("nan"))],
)
def test_settings_out_of_range_are_named(
    pipeline: AnimationPipeline, name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=name):
        pipeline(textured(WIDTH, HEIGHT), **{name: value})


def test_at_temperature_zero_all_seeds_are_alike(pipeline: AnimationPipeline) -> None:
    photo = textured(WIDTH, HEIGHT)
    first, second = (
        pipeline(photo, seed=seed, temperature=0, steps=2, pixel_steps=0).trajectories
        for seed in (1, 2)
    )
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_the_models_that_come_along_move_a_photo() -> None:
    pipeline = AnimationPipeline.from_pretrained()
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(textured(64, 64), steps=3, pixel_steps=1)
    assert output.frames[0].shape == (24, 64, 64, 3)
    motion = output.trajectories[0] - output.trajectories[0][:1]
    assert 0.05 < np.abs(motion[-1]).mean() < 32
