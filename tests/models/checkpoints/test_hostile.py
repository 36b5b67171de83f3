"""Files made to do harm: the payload must never run, nor memory be taken for empty promises."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.checkpoints import CheckpointError, read_state_dict
from models.checkpoints.restricted_pickle import Array, load

NAME = "tapir/~/occlusion_out"


class Payload:
    """Runs a function when it is unpickled without care."""

    def __init__(self, function: Callable[..., Any], *args: object) -> None:
        self._call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


def npy(content: bytes) -> bytes:
    """A .npy file of one object with the given pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    return header.getvalue() + content


def npy_of(tree: object, protocol: int = 4) -> bytes:
    return npy(pickle.dumps(np.array(tree, dtype=object), protocol=protocol))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.fixture(params=["os.system", "eval", "a method"])
def payload(request: pytest.FixtureRequest, marker: Path) -> Payload:
    return {
        "os.system": Payload(os.system, f"touch {marker}"),
        "eval": Payload(eval, f"open({str(marker)!r}, 'w').close()"),
        "a method": Payload(Path.touch, marker),
    }[request.param]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("place", ["top", "params", "array", "state"])
def test_npy_payload_never_runs(
    tmp_path: Path, marker: Path, payload: Payload, place: str, protocol: int
) -> None:
    trees = {
        "top": payload,
        "params": {"params": payload},
        "array": {"params": {NAME: {"w": payload}}},
        "state": {"params": {NAME: {"b": np.zeros(2, np.float32)}}, "state": payload},
    }
    content = npy_of(trees[place], protocol)
    path = tmp_path / "weights.npy"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="refused") as raised:
        read_state_dict(path)
    assert not marker.exists()
    assert "\n" not in str(raised.value)
    np.load(path, allow_pickle=True)  # the payload is live: a careless reader runs it
    assert marker.exists()


def test_pt_payload_never_runs(tmp_path: Path, marker: Path, payload: Payload) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"w": payload}, path)
    with pytest.raises(CheckpointError, match="refused") as raised:
        read_state_dict(path)
    assert not marker.exists()
    assert "\n" not in str(raised.value)
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_bare_pickle_under_a_weight_name(tmp_path: Path, marker: Path, payload: Payload) -> None:
    for name in ("weights.pt", "weights.npy", "weights.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(payload))
        with pytest.raises(CheckpointError):
            read_state_dict(tmp_path / name)
    assert not marker.exists()


def read_pickle(content: bytes) -> Any:
    return load(io.BytesIO(content), len(content))


def test_plain_contents_pass() -> None:
    tree = {
        "a": [1, 2.5, -3, None, True, 1 << 40],
        "b": ("x", OrderedDict(c=np.arange(6, dtype=">i4").reshape(2, 3))),
        "d": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "e": np.zeros((0, 4), np.float16),
    }
    for protocol in (3, 4, 5):
        read = read_pickle(pickle.dumps(tree, protocol=protocol))
        assert read["a"] == tree["a"]
        for found, expected in [
            (read["b"][1]["c"], tree["b"][1]["c"]),
            (read["d"], tree["d"]),
            (read["e"], tree["e"]),
        ]:
            assert isinstance(found, Array)
            np.testing.assert_array_equal(found.numeric(), expected)
            assert found.numeric().dtype == expected.dtype


def test_both_spellings_of_numpy_modules() -> None:
    """numpy 1 wrote ``numpy.core``, numpy 2 writes ``numpy._core``."""
    ours = pickle.dumps(np.arange(3.0), protocol=3)
    new = ours.replace(b"numpy.core.", b"numpy._core.")
    old = new.replace(b"numpy._core.", b"numpy.core.")
    assert old != new
    for content in (old, new):
        np.testing.assert_array_equal(read_pickle(content).numeric(), np.arange(3.0))


def test_byte_strings_of_an_array() -> None:
    values = [b"\xff\xd8 a", b"bcd"]
    objects = np.empty(2, dtype=object)
    objects[:] = values
    for array in (np.array(values), objects):
        for protocol in (3, 4, 5):
            read = read_pickle(pickle.dumps(array, protocol=protocol))
            assert read.strings() == values
            with pytest.raises(CheckpointError, match="array of objects"):
                read.numeric()
    for other in (np.array([[b"a"]]), np.array([1, None], dtype=object), np.arange(2)):
        with pytest.raises(CheckpointError, match="refused"):
            read_pickle(pickle.dumps(other)).strings()


def test_old_haiku_mapping_is_a_dict() -> None:
    content = b"\x80\x03chaiku._src.data_structures\nFlatMapping\n}X\x01\x00\x00\x00aK\x01s\x85R."
    assert read_pickle(content) == {"a": 1}


def test_object_arrays_inside_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    for shape in ((), (2,)):
        array = np.empty(shape, dtype=object)
        array[...] = 1.0
        path.write_bytes(npy_of({"params": {NAME: {"w": array}}}))
        with pytest.raises(CheckpointError, match="array of objects"):
            read_state_dict(path)


def reduced_array(dtype: bytes, state: bytes) -> bytes:
    """A protocol-3 pickle that calls numpy's reconstruction and gives it ``state``."""
    return (
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        + state.replace(b"DTYPE", dtype)
        + b"b."
    )


FLOAT = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R"


@pytest.mark.parametrize(
    "dtype, state",
    [
        # 4 bytes for a million numbers
        (FLOAT, b"(K\x01J\x40\x42\x0f\x00\x85DTYPE\x89C\x04\x00\x00\x00\x00t"),
        # a shape that overflows 64 bits
        (FLOAT, b"(K\x01\x8a\x09" + b"\xff" * 8 + b"\x00\x85DTYPE\x89C\x04\x00\x00\x00\x00t"),
        # a negative axis
        (FLOAT, b"(K\x01J\xff\xff\xff\xff\x85DTYPE\x89C\x04\x00\x00\x00\x00t"),
        # bytes taken for pointers to objects
        (FLOAT.replace(b"f4", b"O8"), b"(K\x01K\x01\x85DTYPE\x89C\x08AAAAAAAAt"),
        (FLOAT.replace(b"f4", b"V8"), b"(K\x01K\x01\x85DTYPE\x89C\x08AAAAAAAAt"),
        # no type at all
        (b"N", b"(K\x01K\x01\x85DTYPE\x89C\x04\x00\x00\x00\x00t"),
    ],
)
def test_false_arrays_are_refused(tmp_path: Path, dtype: bytes, state: bytes) -> None:
    with pytest.raises(CheckpointError, match="refused an array"):
        read_pickle(reduced_array(dtype, state)).numeric()


def test_a_pickle_cannot_rewrite_what_it_calls() -> None:
    attack = b"\x80\x03cnumpy\ndtype\nN}X\x05\x00\x00\x00_makeNs\x86b."
    with pytest.raises(CheckpointError, match="state to a function"):
        read_pickle(attack)
    np.testing.assert_array_equal(
        read_pickle(pickle.dumps(np.ones(2), protocol=4)).numeric(), np.ones(2)
    )


@pytest.mark.parametrize(
    "content, reason",
    [
        pytest.param(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 34) + b"a.", "damaged", id="bytes"),
        pytest.param(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 34) + b"a.", "damaged", id="text"),
        pytest.param(b"\x80\x04\x95" + struct.pack("<Q", 1 << 34) + b"N.", "damaged", id="frame"),
        pytest.param(b"c" + b"x" * 5000, "damaged", id="endless line"),
        pytest.param(b"\x80\x04Nr\xff\xff\xff\x7f.", "more parts", id="memo"),
        pytest.param(b"\x80\x04" + b"}" * 300_000 + b".", "more parts", id="dicts"),
        pytest.param(
            b"\x80\x05\x96" + struct.pack("<Q", 1 << 34) + b"a.", "damaged", id="bytearray"
        ),
        pytest.param(b"\x80\x04(i__builtin__\nprint\n.", "INST", id="instance"),
        pytest.param(b"\x80\x04cnumpy\nndarray\n)\x81.", "NEWOBJ", id="new object"),
        pytest.param(b"\x80\x04\x82\x01.", "EXT1", id="extension"),
        pytest.param(b"\x80\x04K\x01Q.", "BINPERSID", id="persistent"),
    ],
)
def test_absurd_pickles_take_no_memory(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "weights.npy"
    path.write_bytes(npy(content))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=reason):
            read_state_dict(path)
        assert tracemalloc.get_traced_memory()[1] < 32e6
    finally:
        tracemalloc.stop()


def test_absurd_npy_header(tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFFF) + b" " * 20_000)
    with pytest.raises(CheckpointError):
        read_state_dict(path)


def test_absurd_safetensors_header(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with pytest.raises(CheckpointError, match="truncated"):
        read_state_dict(path)


def test_zip_bomb(tmp_path: Path) -> None:
    plain, bomb = tmp_path / "plain.pt", tmp_path / "bomb.pt"
    torch.save({"w": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < plain.stat().st_size / 50
    read_state_dict(plain)
    with pytest.raises(CheckpointError, match="compressed"):
        read_state_dict(bomb)


def test_one_number_that_claims_to_be_a_matrix(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"w": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)
    with pytest.raises(CheckpointError, match="more data than the file has"):
        read_state_dict(path)
