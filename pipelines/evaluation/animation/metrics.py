"""Figures of sampled trajectories and of generated frames: plain functions of arrays.

Tracks are float [..., t, 2, h, w], (x, y) in pixels of a frame of 256 x 256; visible is bool
[..., t, h, w]. Frame 0 is given and never counts. Positions count where the point is visible in
the truth: where it is hidden, the truth is a guess. A figure that nothing enters is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_SSIM_SIGMA = 1.5
_SSIM_WINDOW = 11
_PEAK = 255.0


def average_errors(
    samples: Float[np.ndarray, "k t 2 h w"],
    truth: Float[np.ndarray, "t 2 h w"],
    visible: Bool[np.ndarray, "t h w"],
) -> Float[np.ndarray, " k"]:
    """Average displacement error (ADE) of each sample: mean distance over frames and points, px."""
    counted = visible[1:]
    return _masked_mean(_distances(samples, truth)[:, 1:], counted[None])


def final_errors(
    samples: Float[np.ndarray, "k t 2 h w"],
    truth: Float[np.ndarray, "t 2 h w"],
    visible: Bool[np.ndarray, "t h w"],
) -> Float[np.ndarray, " k"]:
    """Final displacement error (FDE) of each sample: the same in the last frame alone, px."""
    return _masked_mean(_distances(samples, truth)[:, -1:], visible[None, -1:])


def best_of(errors: Float[np.ndarray, " k"], counts: Sequence[int]) -> dict[int, float]:
    """The least error among the first K samples, for each K (minADE, minFDE).

    A method with fewer samples than K has what all of its samples give: more would be the same.
    """
    return {count: float(errors[:count].min()) for count in counts}


def occlusion_accuracy(
    visible: Bool[np.ndarray, "k t h w"], truth: Bool[np.ndarray, "t h w"]
) -> float:
    """Share of points and frames whose visibility is right, mean over samples."""
    return float((visible[:, 1:] == truth[None, 1:]).mean())


def jerkiness(
    tracks: Float[np.ndarray, "*k t 2 h w"], visible: Bool[np.ndarray, "*k t h w"]
) -> float:
    """Mean length of the second differences in time, px/frame², where three frames see the point.

    0 for even motion. Compared with that of true tracks it tells whether motion is as smooth.
    """
    second = np.diff(tracks, n=2, axis=-4)
    seen = visible[..., 2:, :, :] & visible[..., 1:-1, :, :] & visible[..., :-2, :, :]
    return _masked_mean(np.linalg.norm(second, axis=-3), seen, whole=True).item()


def diversity(samples: Float[np.ndarray, "k t 2 h w"]) -> float:
    """Mean distance between the positions of a point in two different samples, px."""
    count = len(samples)
    if count < 2:
        return float("nan")
    pairs = [
        np.linalg.norm(samples[a, 1:] - samples[b, 1:], axis=1).mean()
        for a in range(count)
        for b in range(a)
    ]
    return float(np.mean(pairs))


def motion(tracks: Float[np.ndarray, "*k t 2 h w"], visible: Bool[np.ndarray, "*k t h w"]) -> float:
    """Mean distance of visible points from where they started, px: how much moves at all."""
    distance = np.linalg.norm(tracks - tracks[..., :1, :, :, :], axis=-3)
    return _masked_mean(distance[..., 1:, :, :], visible[..., 1:, :, :], whole=True).item()


def psnr(image: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w 3"]) -> float:
    """Peak signal-to-noise ratio, dB; infinite for equal pictures."""
    error = np.square(image.astype(np.float64) - truth).mean()
    return float(10 * np.log10(_PEAK**2 / error)) if error else float("inf")


def ssim(image: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w 3"]) -> float:
    """Structural similarity (Wang et al. 2004), mean over pixels and channels.

    Gaussian window of 11 pixels, σ = 1.5, without sample correction; windows that reach over the
    border are left out, as far as there are others.
    """
    one, other = image.astype(np.float64), truth.astype(np.float64)

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (_SSIM_WINDOW, _SSIM_WINDOW), _SSIM_SIGMA)

    mean1, mean2 = blur(one), blur(other)
    var1, var2 = blur(one * one) - mean1**2, blur(other * other) - mean2**2
    cov = blur(one * other) - mean1 * mean2
    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    similar = ((2 * mean1 * mean2 + c1) * (2 * cov + c2)) / (
        (mean1**2 + mean2**2 + c1) * (var1 + var2 + c2)
    )
    half = _SSIM_WINDOW // 2
    inner = similar[half:-half, half:-half]
    return float((inner if inner.size else similar).mean())


def end_point_errors(
    tracks: Float[np.ndarray, "n t 2"],
    wanted: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
) -> Float[np.ndarray, " m"]:
    """Distances from where points should be, px, of all that should be seen after frame 0."""
    return np.linalg.norm(tracks - wanted, axis=-1)[:, 1:][visible[:, 1:]]


def _distances(samples: np.ndarray, truth: np.ndarray) -> Float[np.ndarray, "k t h w"]:
    return np.linalg.norm(samples - truth[None], axis=2)


def _masked_mean(values: np.ndarray, mask: np.ndarray, whole: bool = False) -> np.ndarray:
    """Mean of what the mask counts, over all axes but the first, or over all of them."""
    axes = None if whole else tuple(range(1, values.ndim))
    mask = np.broadcast_to(mask, values.shape)
    count = mask.sum(axis=axes)
    total = np.where(mask, values, 0).sum(axis=axes, dtype=np.float64)
    return np.divide(total, count, out=np.full(np.shape(count), np.nan), where=count > 0)
