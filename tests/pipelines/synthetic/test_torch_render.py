"""The torch renderer draws what the OpenCV renderer draws."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip
from pipelines.synthetic.torch_degrade import compress
from pipelines.synthetic.torch_render import make_clips

CLEAN = SyntheticConfig(
    num_frames=5,
    height=64,
    width=80,
    num_queries=16,
    reorder=1.0,
    shading=0,
    shadow=0,
    motion_blur=0,
    blur=0,
    low_resolution=0,
    noise=0,
    jpeg=0,
)
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def textures() -> TextureBank:
    return TextureBank.procedural(3, count=6, size=128)


def differences(config: SyntheticConfig, textures: TextureBank) -> np.ndarray:
    """Grey levels between the two renderers; the truth must be the same to the bit."""
    drawn = make_clips(SEEDS, config, textures, "cpu")
    found = []
    for index, seed in enumerate(SEEDS):
        clip = make_clip(seed, config, textures)
        for name in ("queries", "tracks", "occluded"):
            np.testing.assert_array_equal(getattr(drawn, name)[index].numpy(), getattr(clip, name))
        found.append(np.abs(drawn.video[index].numpy().astype(int) - clip.video))
    return np.stack(found)


@pytest.mark.parametrize("name", ["", "motion_blur", "shading", "shadow", "blur", "low_resolution"])
def test_pictures_agree_to_rounding(name: str, textures: TextureBank) -> None:
    config = replace(CLEAN, **{name: 1.0}) if name else CLEAN
    difference = differences(config, textures)
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99.9) <= 4


def test_compressed_pictures_agree_but_for_steps_rounded_the_other_way(
    textures: TextureBank,
) -> None:
    difference = differences(replace(CLEAN, jpeg=1.0), textures)
    assert difference.mean() < 2.5
    assert np.percentile(difference, 99) <= 16


def test_noise_has_its_strength_and_comes_again(textures: TextureBank) -> None:
    noisy = replace(CLEAN, noise=1.0)
    first, again = (make_clips(SEEDS[:1], noisy, textures, "cpu").video for _ in range(2))
    assert torch.equal(first, again)
    quiet = make_clips(SEEDS[:1], CLEAN, textures, "cpu").video
    reference = make_clip(SEEDS[0], noisy, textures).video.astype(int)
    ours = (first[0].numpy().astype(int) - quiet[0].numpy()).std()
    theirs = (reference - make_clip(SEEDS[0], CLEAN, textures).video).std()
    assert ours == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize("quality", [10, 40, 80])
@pytest.mark.parametrize("height, width", [(64, 96), (50, 70)])
def test_compression_is_that_of_jpeg(quality: int, height: int, width: int) -> None:
    photo = TextureBank.procedural(5, count=1, size=128).photos[0][:height, :width]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), options)
    expected = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1].astype(int)
    frame = torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None].float()
    stored = compress(frame, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    lost = np.abs(expected - photo).mean()
    assert np.abs(stored - expected).mean() < 0.35 * lost
    assert np.percentile(np.abs(stored - expected), 99) <= 20


def test_clips_need_no_torch() -> None:
    code = "import sys, pipelines.synthetic; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
