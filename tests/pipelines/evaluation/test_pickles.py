"""TAP-Vid's files in each published layout, written small; and files made to do harm."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.evaluation.pickles import read_pickle

RNG = np.random.default_rng(0)
POINTS = np.array([[[0.25, 0.5], [0.5, 0.5], [0.75, 0.5]], [[0.1, 0.2]] * 3])
OCCLUDED = np.array([[0, 0, 1], [1, 1, 0]], bool)


def smooth_frames(num_frames: int = 3, height: int = 32, width: int = 48) -> np.ndarray:
    coarse = RNG.integers(0, 256, (num_frames, 4, 6, 3), np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(c).resize((width, height), Image.BICUBIC)) for c in coarse]
    )


def jpegs(frames: np.ndarray) -> list[bytes]:
    found = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=95)
        found.append(buffer.getvalue())
    return found


def example(video: Any) -> dict[str, Any]:
    return {"points": POINTS, "occluded": OCCLUDED, "video": video}


def write(path: Path, data: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_davis_is_a_dict_of_arrays(tmp_path: Path, protocol: int) -> None:
    frames = smooth_frames()
    path = write(tmp_path / "tapvid_davis.pkl", {"bear": example(frames)}, protocol)
    (asked,) = read_pickle(path, ["first", "strided"])
    clip = asked["first"]
    assert clip.name == "bear"
    assert clip.scored is None
    np.testing.assert_allclose(clip.tracks, POINTS * 256, rtol=1e-6)
    np.testing.assert_array_equal(clip.occluded, OCCLUDED)
    np.testing.assert_allclose(clip.queries, [[0, 128, 64], [2, 51.2, 25.6]], rtol=1e-6)
    expected = [
        np.asarray(Image.fromarray(frame).resize((256, 256), Image.Resampling.LANCZOS))
        for frame in frames
    ]
    np.testing.assert_array_equal(clip.video, expected)
    assert asked["strided"].queries[:, 0].tolist() == [0]
    assert asked["strided"].video is clip.video


def test_rgb_stacking_is_a_list(tmp_path: Path) -> None:
    frames = RNG.integers(0, 256, (3, 256, 256, 3), np.uint8)
    path = write(tmp_path / "rgb_stacking.pkl", [example(frames), example(frames[::-1])])
    first, second = (asked["first"] for asked in read_pickle(path, ["first"]))
    assert [first.name, second.name] == ["rgb_stacking/0", "rgb_stacking/1"]
    np.testing.assert_array_equal(first.video, frames)
    np.testing.assert_array_equal(second.video, frames[::-1])


def test_kinetics_and_robotap_hold_encoded_frames(tmp_path: Path) -> None:
    frames = smooth_frames()
    encoded = jpegs(frames)
    objects = np.empty(3, dtype=object)
    objects[:] = encoded
    for number, video in enumerate((np.array(encoded), objects, encoded, tuple(encoded))):
        path = write(tmp_path / f"000{number}_of_0010.pkl", [example(video)])
        (asked,) = read_pickle(path, ["first"])
        clip = asked["first"]
        whole = [
            np.asarray(Image.fromarray(frame).resize((256, 256), Image.Resampling.LANCZOS))
            for frame in frames
        ]
        assert np.abs(clip.video.astype(int) - whole).mean() < 3
        np.testing.assert_allclose(clip.tracks, POINTS * 256, rtol=1e-6)


def test_numpy_1_and_2_name_their_modules_differently(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", {"a": example(smooth_frames())}, protocol=3)
    ours = path.read_bytes()
    for old, new in ((b"numpy._core.", b"numpy.core."), (b"numpy.core.", b"numpy._core.")):
        path.write_bytes(ours.replace(old, new))
        (asked,) = read_pickle(path, ["first"])
        np.testing.assert_array_equal(asked["first"].occluded, OCCLUDED)


class Payload:
    """Makes a file when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("place", ["top", "clip", "video", "frame"])
def test_hostile_files_are_refused_and_not_executed(
    tmp_path: Path, place: str, protocol: int
) -> None:
    marker = tmp_path / "executed"
    payload = Payload(marker)
    data = {
        "top": payload,
        "clip": {"a": payload},
        "video": {"a": example(payload)},
        "frame": [example([payload])],
    }[place]
    path = write(tmp_path / "hostile.pkl", data, protocol)
    with pytest.raises(ValueError, match=r"hostile\.pkl: refused") as raised:
        list(read_pickle(path, ["first"]))
    assert "\n" not in str(raised.value)
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # the payload is live: a careless reader runs it
    assert marker.exists()


def test_damaged_files(tmp_path: Path) -> None:
    whole = pickle.dumps({"a": example(smooth_frames())})
    for name, content in {
        "truncated": whole[:-40],
        "text": b"<html>not found</html>",
        "empty": b"",
    }.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.pkl: "):
            list(read_pickle(path, ["first"]))
    with pytest.raises(FileNotFoundError):
        list(read_pickle(tmp_path / "missing.pkl", ["first"]))


@pytest.mark.parametrize(
    "data, reason",
    [
        (3, "neither a dict nor a list"),
        ([3], "a/0: is not a dict"),
        ({"b": {"points": POINTS, "occluded": OCCLUDED}}, "clip b: lacks the entry 'video'"),
        ({"b": {**example(smooth_frames()), "points": "x"}}, "'points' is not an array"),
        ({"b": {**example(smooth_frames()), "points": POINTS[..., 0]}}, "not of shapes"),
        ({"b": example(smooth_frames(4))}, "has 4 frames, but points on 3"),
        ({"b": example(smooth_frames().astype(np.float32))}, "not uint8"),
        ({"b": example("frames")}, "neither an array nor a list"),
        ({"b": example([b"no picture"] * 3)}, "clip b"),
        ({"b": example([])}, "no frames"),
    ],
)
def test_other_layouts_are_named(tmp_path: Path, data: Any, reason: str) -> None:
    path = write(tmp_path / "a.pkl", data)
    with pytest.raises(ValueError, match=rf"a\.pkl: .*{reason}"):
        list(read_pickle(path, ["first"]))
