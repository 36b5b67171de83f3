"""Plain containers and numeric arrays out of a pickle, and nothing else.

A pickle is a program; this reader lets it build dicts, lists, tuples, strings, numbers and
arrays only. Three walls, each enough on its own against code execution: the operations are
scanned first and only those that such values are pickled with are admitted; every global it
names is looked up in a short table, nothing is ever imported; and what the table gives are
stand-ins that record their arguments, so that not even numpy's own reconstruction runs on
foreign data. Sizes are checked before memory is taken.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from models.checkpoints.errors import CheckpointError

# Protocols 2 to 5, as Python writes them; no way to call by class, code or reference.
_FRAMING = {"PROTO", "FRAME", "STOP", "MARK"}
_ATOMS = {
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_CONTAINERS = {
    *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
}
_MEMO = {"MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
_CALLS = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}  # of stand-ins, never of anything else
_OPCODES = _FRAMING | _ATOMS | _CONTAINERS | _MEMO | _CALLS
_MAX_OPERATIONS = 200_000  # a published checkpoint has some seven thousand
_NUMERIC = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
_TEXT = re.compile(r"S[1-9][0-9]{0,8}")  # byte strings of one length
_OBJECT = "O8"
_MAX_AXES = 8


class Dtype:
    """Records the arguments of ``numpy.dtype``."""

    __slots__ = ("byte_order", "kind")

    def __init__(self, kind: object, *flags: object) -> None:
        name = str(kind)
        if name not in _NUMERIC and name != _OBJECT and not _TEXT.fullmatch(name):
            raise CheckpointError(f"refused an array of type {kind!r:.40}")
        self.kind = name
        self.byte_order = "|"

    def __setstate__(self, state: Any) -> None:
        _, order, *structure = state
        if order not in ("<", ">", "=", "|") or any(structure[:3]):
            raise CheckpointError("refused a structured array type")
        self.byte_order = order


class Array:
    """Records the state of an array; becomes one in :meth:`numeric`."""

    __slots__ = ("data", "dtype", "fortran", "shape")

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        whole = all(type(n) is int and n >= 0 for n in shape)
        if not isinstance(dtype, Dtype) or len(shape) > _MAX_AXES or not whole:
            raise CheckpointError("refused an array without a proper type and shape")
        self.shape: tuple[int, ...] = tuple(shape)
        self.dtype = dtype
        self.fortran = bool(fortran)
        self.data: Any = data

    def numeric(self) -> np.ndarray:
        """The array as a view of its bytes in the pickle; not to be written to."""
        if self.dtype.kind not in _NUMERIC:
            raise CheckpointError("refused an array of objects")
        return self._view()

    def strings(self) -> list[bytes]:
        """The byte strings that an array with one axis holds, as such or as objects."""
        if len(self.shape) != 1:
            raise CheckpointError("refused byte strings that are no list")
        values = self.data if self.dtype.kind == _OBJECT else self._view().tolist()
        if not isinstance(values, list) or not all(type(value) is bytes for value in values):
            raise CheckpointError("refused an array of objects that are no byte strings")
        return values

    def _view(self) -> np.ndarray:
        if not isinstance(self.data, (bytes, bytearray)):
            raise CheckpointError("refused an array of objects")
        dtype = np.dtype(self.dtype.byte_order + self.dtype.kind)
        if len(self.data) != math.prod(self.shape) * dtype.itemsize:
            raise CheckpointError("refused an array whose bytes do not match its shape")
        flat = np.frombuffer(self.data, dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C")

    def single_object(self) -> Any:
        """What an array of one object, without axes, holds."""
        if self.dtype.kind != _OBJECT or self.shape or not isinstance(self.data, list):
            raise CheckpointError("not an array of a single object")
        (value,) = self.data
        return value


class _Global:
    """A name that a pickle may call. Refuses state, which would let a pickle rewrite it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> object:
        return self._make(*args)

    def __setstate__(self, state: object) -> None:
        raise CheckpointError("refused to give state to a function")


def _new_array(*_: object) -> Array:
    return Array()


def _array_of_buffer(data: object, dtype: object, shape: Any, order: object) -> Array:
    array = Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _no_value(*_: object) -> None:
    """Stands in for numpy scalars (a step counter), which nobody needs."""


_NUMPY: dict[tuple[str, str], Callable[..., object]] = {
    ("multiarray", "_reconstruct"): _new_array,
    ("multiarray", "scalar"): _no_value,
    ("numeric", "_frombuffer"): _array_of_buffer,  # protocol 5
}
_GLOBALS: dict[tuple[str, str], Callable[..., object]] = {
    # numpy's own modules were renamed in version 2; both spellings are in use.
    **{(f"numpy.{core}.{m}", n): f for core in ("core", "_core") for (m, n), f in _NUMPY.items()},
    ("numpy", "ndarray"): _new_array,
    ("numpy", "dtype"): Dtype,
    ("collections", "OrderedDict"): dict,
    # How older versions of Haiku wrote the mapping of parameters.
    ("haiku._src.data_structures", "FlatMapping"): dict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        make = _GLOBALS.get((module, name))
        if make is None:
            raise CheckpointError(
                f"refused: it asks for {module}.{name}, which plain data never needs; "
                "it may be hostile"
            )
        return _Global(make)

    def persistent_load(self, pid: Any) -> Any:
        raise CheckpointError("refused a reference out of the file")


def load(file: IO[bytes], size: int) -> Any:
    """The object pickled in ``file``, which has ``size`` bytes left, with arrays as `Array`.

    Raises:
        CheckpointError: something else than containers, numbers and arrays is in it.
        Exception: as ``pickle`` raises them where the bytes are no pickle at all.
    """
    start = file.tell()
    _scan(_Bounded(file, size))
    file.seek(start)
    return _Unpickler(_Bounded(file, size)).load()


def _scan(file: _Bounded) -> None:
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        if opcode.name not in _OPCODES:
            raise CheckpointError(f"refused the pickle operation {opcode.name}")
        # The memo is an array as long as its largest index.
        index = int(argument or 0) if opcode.name in ("BINPUT", "LONG_BINPUT") else 0
        if count > _MAX_OPERATIONS or index > _MAX_OPERATIONS:
            raise CheckpointError("refused a pickle with more parts than weights or clips have")


class _Bounded:
    """A file that never takes memory for more bytes than are left in it."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        data = self._file.read(max(0, min(size, self._left)))
        self._left -= len(data)
        return data

    def readline(self, limit: int = 1000) -> bytes:
        data = self._file.readline(max(0, min(limit, self._left)))
        self._left -= len(data)
        return data

    def tell(self) -> int:
        return self._file.tell()
