"""The command line: every option does what it says, and nothing half done is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from animate import AnimationPipeline, read_motion
from animate.cli import command
from models.animation import TrajectoryModel
from pipelines.video import read_video
from tests.animate.conftest import Outcome, textured
from tests.models.animation.small_animation import FRAMES, GRID

Animate = Callable[..., Outcome]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_video_appears_beside_the_photo(animate: Animate, photo: Path) -> None:
    outcome = animate(photo)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.split() == [str(photo.with_suffix(".mp4"))]
    assert files(photo.parent) == {"photo.png", "photo.mp4"}
    video = read_video(photo.with_suffix(".mp4"))
    assert video.frames.shape == (FRAMES, 80, 120, 3)
    assert video.fps == 15
    assert np.abs(video.frames[0].astype(int) - textured(120, 80)).mean() < 6


def test_a_video_that_is_there_is_replaced_only_when_told(animate: Animate, photo: Path) -> None:
    there = photo.with_suffix(".mp4")
    there.write_bytes(b"a film of mine")
    refused = animate(photo)
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert there.read_bytes() == b"a film of mine"
    assert animate(photo, "--overwrite").code == 0
    assert there.stat().st_size > 1000


def test_output_fps_and_size(animate: Animate, photo: Path) -> None:
    target = photo.with_name("out.gif")
    outcome = animate(photo, "-o", target, "--fps", 12.5, "--size", 60)
    assert outcome.code == 0
    video = read_video(target)
    assert video.frames.shape == (FRAMES, 40, 60, 3)
    assert video.fps == pytest.approx(12.5)


def test_samples_are_numbered_and_shown_on_a_sheet(animate: Animate, photo: Path) -> None:
    outcome = animate(
        photo, "-o", photo.with_name("a.mp4"), "--samples", 2, "--seed", 3,
        "--save-trajectories", photo.with_name("t.parquet"),
    )  # fmt: skip
    assert outcome.code == 0
    made = {"a-1.mp4", "a-2.mp4", "a-sheet.png", "t-1.parquet", "t-2.parquet"}
    assert files(photo.parent) == {"photo.png", *made}
    assert {Path(line).name for line in outcome.out.split()} == made
    first, second = (read_motion(photo.with_name(f"t-{k}.parquet")) for k in (1, 2))
    assert np.abs(first.tracks - second.tracks).max() > 0.1
    # Sample 2 of seed 3 is sample 1 of seed 4.
    again = photo.with_name("u.parquet")
    animate(photo, "-o", photo.with_name("b.mp4"), "--seed", 4, "--save-trajectories", again)
    np.testing.assert_allclose(read_motion(again).tracks, second.tracks, atol=1e-2)
    page = Image.open(photo.with_name("a-sheet.png"))
    assert page.width > 4 * 120
    assert page.height > 2 * 80


def test_sheet_of_one_motion(animate: Animate, photo: Path) -> None:
    page = photo.with_name("page.jpg")
    assert animate(photo, "--sheet", page).code == 0
    assert Image.open(page).width > 4 * 120


def test_drags_and_pins_are_in_pixels_of_the_file(animate: Animate, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.fromarray(textured(240, 160)).save(large)  # animated at half its size
    saved = tmp_path / "t.parquet"
    outcome = animate(
        large, "--size", 120, "--drag", "120,60:150,84", "--pin", "80.0,120",
        "--save-trajectories", saved,
    )  # fmt: skip
    assert outcome.code == 0
    motion = read_motion(saved)
    assert motion.photo_size == (240, 160)
    cell = motion.frame.width / GRID  # 10
    col, row = (120 - motion.frame.x) / cell, 60 / cell  # where four cells meet
    assert (col, row) == (8, 6)
    end = motion.tracks[-1, :, 5:7, 7:9].mean(axis=(1, 2))
    np.testing.assert_allclose(end, (150, 84), atol=0.1)
    pin = motion.tracks[:, :, 11:13, 3:5].mean(axis=(2, 3))
    np.testing.assert_allclose(pin, [(80, 120)] * FRAMES, atol=0.1)


def test_saved_trajectories_are_followed(animate: Animate, photo: Path) -> None:
    saved, copy = photo.with_name("t.parquet"), photo.with_name("u.parquet")
    assert animate(photo, "--save-trajectories", saved).code == 0
    outcome = animate(
        photo, "-o", photo.with_name("again.mp4"), "--trajectories", saved,
        "--save-trajectories", copy,
    )  # fmt: skip
    assert outcome.code == 0
    np.testing.assert_allclose(read_motion(copy).tracks, read_motion(saved).tracks, atol=1e-3)
    first, second = (read_video(photo.with_name(n)).frames for n in ("photo.mp4", "again.mp4"))
    assert np.abs(first.astype(int) - second).mean() < 1


def test_strength_loop_and_mask(animate: Animate, photo: Path) -> None:
    def motion(*words: object) -> np.ndarray:
        saved = photo.with_name("t.parquet")
        code = animate(
            photo, "-o", photo.with_name("x.mp4"), "--save-trajectories", saved, *words
        ).code
        assert code == 0
        tracks = read_motion(saved).tracks
        return tracks - tracks[:1]

    plain = motion("--fit", "fit")
    np.testing.assert_allclose(motion("--fit", "fit", "--strength", 2), plain * 2, atol=0.01)
    loop = np.abs(motion("--loop"))
    assert loop[-1].max() < loop[FRAMES // 2].max() / 2
    mask = np.zeros((80, 120), np.uint8)
    mask[:, :60] = 255
    Image.fromarray(mask).save(photo.with_name("mask.png"))
    masked = motion("--mask", photo.with_name("mask.png"))
    assert np.abs(masked[..., : GRID // 2]).max() < 1e-3 < np.abs(masked).max()


def test_fit_sees_the_whole_photo(animate: Animate, photo: Path) -> None:
    saved = photo.with_name("t.parquet")
    for fit, width in (("fit", 120), ("crop", 80), ("auto", 80)):
        words = ("-o", photo.with_name("x.mp4"), "--save-trajectories", saved, "--fit", fit)
        assert animate(photo, *words).code == 0
        assert read_motion(saved).frame.width == width


def test_steps_and_guidance_reach_the_samplers(
    animate: Animate, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    original = TrajectoryModel.forward

    def counting(self: TrajectoryModel, noisy: object, *rest: object) -> object:
        batches.append(len(noisy))  # type: ignore[arg-type]
        return original(self, noisy, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TrajectoryModel, "forward", counting)
    words = ("--overwrite", "--steps", 3, "--pixel-steps", 0)
    assert animate(photo, *words, "--guidance", 1).code == 0
    assert animate(photo, *words, "--guidance", 3).code == 0
    assert batches == [1, 1, 1, 2, 2, 2]


def test_models_by_folder(model_folder: Path, animate: Animate, photo: Path) -> None:
    outcome = animate(
        photo, "--trajectory-model", model_folder / "trajectory",
        "--pixel-model", model_folder / "pixel", "--model", photo.parent / "nowhere",
    )  # fmt: skip
    assert outcome.code == 0
    outcome = animate(photo, "--overwrite", "--model", photo.parent / "nowhere")
    assert outcome.code == 1
    assert "holds no animation model" in outcome.err
    assert outcome.err.count("\n") == 1


def test_help_explains_every_option_and_needs_no_torch(animate: Animate) -> None:
    code = (
        "import sys\nfrom animate.cli import main\n"
        "try: main(['--help'])\n"
        "finally: assert not {'torch', 'diffusers', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.opts[-1] in done.stdout
            assert param.help


@pytest.mark.parametrize(
    "words, code, text",
    [
        (["--drag", "1,2"], 2, "120,80:180,60"),
        (["--drag", "1,2:nan,4"], 2, "no drag"),
        (["--pin", "1;2"], 2, "40,200"),
        (["--drag", "10,10:500,10"], 1, "drag 1 ends at (500, 10), outside the photo of 120x80"),
        (["--pin", "60,-3"], 1, "pin 1 is at (60, -3), outside"),
        (["--strength", "9"], 2, "0<=x<=4"),
        (["-o", "video.avi"], 2, ".mp4 or .gif"),
        (["-o", "nowhere/video.mp4"], 1, "there is no folder nowhere"),
        (["--sheet", "sheet.bmp"], 2, ".png"),
        (["--save-trajectories", "tracks.csv"], 2, ".parquet"),
        (["--trajectories", "none.parquet"], 1, "none.parquet"),
        (["--trajectories", "none.parquet", "--samples", "2"], 2, "--samples"),
        (["--device", "cuda:77"], 1, "cuda:77"),
    ],
)
def test_wrong_words_are_one_line(
    animate: Animate, photo: Path, words: list[str], code: int, text: str
) -> None:
    outcome = animate(photo, *words)
    assert outcome.code == code
    assert text in outcome.err
    assert outcome.err.strip().splitlines()[-1].count("Traceback") == 0
    if code == 1:
        assert outcome.err.count("\n") == 1
    assert files(photo.parent) == {"photo.png"}


def test_a_photo_that_is_none_is_one_line(animate: Animate, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("no picture")
    outcome = animate(path)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert str(path) in outcome.err
    assert files(tmp_path) == {"photo.jpg"}


def test_the_photo_itself_is_never_replaced(animate: Animate, tmp_path: Path) -> None:
    path = tmp_path / "photo.gif"
    Image.fromarray(textured(64, 64)).save(path)
    before = path.read_bytes()
    outcome = animate(path, "-o", path)
    assert outcome.code == 2
    assert path.read_bytes() == before


def test_a_folder_without_rights_is_refused_before_the_work(
    animate: Animate, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked)
    outcome = animate(photo, "-o", locked / "a.mp4")
    assert outcome.code == 1
    assert "cannot be written" in outcome.err


def test_ctrl_c_leaves_no_half_file(model_folder: Path, photo: Path) -> None:
    words = [sys.executable, "-m", "animate", photo, "--model", model_folder]
    process = subprocess.Popen(
        [*map(str, words), "--samples", "64", "--steps", "1000"],  # minutes
        stderr=subprocess.PIPE,
        text=True,
        # Jobs in the background of a script inherit that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(8)  # within the thousand steps, or on a slow machine at the imports
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "animate: stopped by Ctrl-C"
    assert files(photo.parent) == {"photo.png"}


def test_ctrl_c_while_the_video_is_written(
    animate: Animate, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = AnimationPipeline.frames

    def frames(self: AnimationPipeline, *words: object, **more: object) -> object:
        for number, frame in enumerate(original(self, *words, **more)):  # type: ignore[arg-type]
            if number == 3:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(AnimationPipeline, "frames", frames)
    outcome = animate(photo)
    assert outcome.code == 130
    assert files(photo.parent) == {"photo.png"}
