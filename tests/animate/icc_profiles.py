"""Small colour profiles whose effect is known in closed form."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

# sRGB's primaries, adapted to the white of profiles (D50), as X, Y, Z.
RED, GREEN, BLUE = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.0606, 0.7141),
)
_D50 = (0.9642, 1.0, 0.8249)


def linear_rgb(primaries: Sequence[Sequence[float]] = (RED, GREEN, BLUE)) -> bytes:
    """RGB whose values are in proportion to light."""
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {name: _xyz(color) for name, color in zip(names, primaries, strict=True)}
    curve = b"curv" + struct.pack(">II", 0, 0)  # no entries: the identity
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def linear_gray() -> bytes:
    """Gray whose values are in proportion to light."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": b"curv" + struct.pack(">II", 0, 0)})


def cmyk_of_lightness() -> bytes:
    """CMYK in which every ink takes away all light evenly: colourless whatever the hue."""
    nodes = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    lightness = np.prod(1 - nodes, axis=1)
    lab = np.stack([lightness * 255, 0 * lightness + 128, 0 * lightness + 128], axis=1)
    ramp = np.arange(256, dtype=np.uint8).tobytes()
    table = b"mft1" + struct.pack(">IBBBx", 0, 4, 3, 2)
    table += struct.pack(">9i", *(np.eye(3, dtype=int).ravel() * 65536).tolist())
    table += ramp * 4 + lab.astype(np.uint8).tobytes() + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def _xyz(color: Sequence[float]) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(round(value * 65536) for value in color))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"made by a test"
    description = b"desc" + struct.pack(">II", 0, len(text) + 1) + text + b"\0" + bytes(78)
    tags = {b"desc": description, b"wtpt": _xyz(_D50), **tags}
    start = 128 + 4 + 12 * len(tags)
    directory, content = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        directory += name + struct.pack(">II", start + len(content), len(data))
        content += data
    header = struct.pack(
        ">I4sI4s4s4s", start + len(content), bytes(4), 0x02100000, kind, space, connection
    )
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return header.ljust(128, b"\0") + directory + content
