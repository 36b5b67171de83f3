"""The compact encoding loses what it says and nothing else."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.trajectories.made_clips import info, random_clip
from trajectories import ClipTracks, decode_clip, encode_clip
from trajectories.encoding import MAX_POSITION


@st.composite
def clips(draw: st.DrawFn) -> ClipTracks:
    n, t = draw(st.integers(0, 5)), draw(st.integers(1, 6))
    reach = draw(st.sampled_from([2.0, 300.0, MAX_POSITION]))

    def real(shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        return draw(hnp.arrays(np.float32, shape, elements=st.floats(low, high, width=32)))

    return ClipTracks(
        info=info(num_frames=t),
        queries=real((n, 3), -10, 600),
        tracks=real((n, t, 2), -reach, reach),
        visible=draw(hnp.arrays(np.bool_, (n, t))),
        uncertainty=real((n, t), 0, 1),
    )


@settings(max_examples=150, deadline=None)
@given(clips())
def test_round_trip(clip: ClipTracks) -> None:
    decoded = decode_clip(encode_clip(clip))
    assert decoded.info == clip.info
    assert decoded.tracks.dtype == decoded.uncertainty.dtype == np.float32
    np.testing.assert_array_equal(decoded.queries, clip.queries)
    np.testing.assert_array_equal(decoded.visible, clip.visible)
    error = np.abs(decoded.tracks.astype(np.float64) - clip.tracks)
    assert error.max(initial=0) <= 1 / 128
    error = np.abs(decoded.uncertainty.astype(np.float64) - clip.uncertainty)
    assert error.max(initial=0) <= 1 / 30 + 1e-7
    # What was read can be written again without a further loss.
    again = decode_clip(encode_clip(decoded))
    np.testing.assert_array_equal(again.tracks, decoded.tracks)
    np.testing.assert_array_equal(again.uncertainty, decoded.uncertainty)


def test_jumps_beyond_sixteen_bits() -> None:
    clip = random_clip(0, num_tracks=1, num_frames=8)
    tracks = np.where(np.arange(8)[:, None] % 2, 5000.25, -5000.25).astype(np.float32)
    far = dataclasses.replace(clip, tracks=np.stack([tracks, tracks], axis=2).reshape(1, 8, 2))
    np.testing.assert_array_equal(decode_clip(encode_clip(far)).tracks, far.tracks)


def test_layout_is_as_documented() -> None:
    clip = ClipTracks(
        info=info(num_frames=2),
        queries=np.array([[0, 2, 1], [0, 4, 3], [1, 6, 5]], np.float32),
        tracks=np.array([[[1, 2], [1.5, 2]], [[3, 4], [3, 3]], [[5, 6], [5, 6]]], np.float32),
        visible=np.array([[1, 0], [1, 1], [0, 1]], bool),
        uncertainty=np.array([[0, 1], [1 / 15, 0], [2 / 15, 0.2]], np.float32),
    )
    encoded = encode_clip(clip)
    assert encoded.x_steps.tolist() == [64, 192, 320, 32, 0, 0]
    assert encoded.y_steps.tolist() == [128, 256, 384, 0, -64, 0]
    assert encoded.queries.tolist() == [0, 0, 1, 2, 4, 6, 1, 3, 5]
    assert encoded.visible == bytes([0b11001100])
    assert encoded.uncertainty == bytes([0x01, 0x2F, 0x03])


@pytest.mark.parametrize("field", ["tracks", "queries", "uncertainty"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(field: str, value: float) -> None:
    clip = random_clip(0)
    spoilt = getattr(clip, field).copy()
    spoilt.flat[3] = value
    with pytest.raises(ValueError, match=r"1 of \d+ .* not finite") as caught:
        encode_clip(dataclasses.replace(clip, **{field: spoilt}))
    assert clip.info.clip_id in str(caught.value)
    assert clip.info.source in str(caught.value)


def test_logits_and_absurd_positions_are_refused() -> None:
    clip = random_clip(0)
    with pytest.raises(ValueError, match="probabilities, not logits"):
        encode_clip(dataclasses.replace(clip, uncertainty=clip.uncertainty - 3))
    with pytest.raises(ValueError, match="px away"):
        encode_clip(dataclasses.replace(clip, tracks=clip.tracks + np.float32(1e8)))


def test_an_encoded_clip_travels_light() -> None:
    clip = random_clip(0, num_tracks=1024, num_frames=24)
    encoded = encode_clip(clip)
    pickled = pickle.dumps(encoded)
    arrays = (clip.queries, clip.tracks, clip.visible, clip.uncertainty)
    assert len(pickled) < encoded.nbytes + 4000 < sum(a.nbytes for a in arrays)
    np.testing.assert_array_equal(
        decode_clip(pickle.loads(pickled)).tracks, decode_clip(encoded).tracks
    )
