"""Query results as text that loses nothing silently."""

from __future__ import annotations

import click
import pyarrow as pa
from rich.cells import cell_len

_GAP = "  "
_LIST_SHOWN = 8


def format_table(table: pa.Table, width: int | None = None) -> str:
    """Columns side by side; where that is wider than ``width``, one value per line instead.

    No text is cut. Lists show their first elements and how many there are, bytes their number;
    float32 has 7 digits and float64 10.
    """
    header = [_text(name) for name in table.column_names]
    columns = [
        [_cell(value, field.type) for value in column.to_pylist()]
        for field, column in zip(table.schema, table.columns, strict=True)
    ]
    widths = [
        max(map(cell_len, [name, *cells])) for name, cells in zip(header, columns, strict=True)
    ]
    if width is not None and sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        return _records(header, columns)
    right = [_is_number(field.type) for field in table.schema]
    lines = [click.style(_line(header, widths, right), bold=True)]
    lines += [_line(list(row), widths, right) for row in zip(*columns, strict=True)]
    return "\n".join(lines)


def _records(header: list[str], columns: list[list[str]]) -> str:
    label = max(map(cell_len, header))
    lines = []
    for number, row in enumerate(zip(*columns, strict=True), 1):
        lines.append(click.style(f"row {number}", bold=True))
        lines += [
            f"{_padded(name, label)}{_GAP}{cell}" for name, cell in zip(header, row, strict=True)
        ]
    return "\n".join(lines) if lines else _GAP.join(header)


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    padded = (_padded(*cell) for cell in zip(cells, widths, right, strict=True))
    return _GAP.join(padded).rstrip()


def _padded(text: str, width: int, right: bool = False) -> str:
    # Wide characters take two cells of a terminal, so str.ljust would not do.
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _cell(value: object, kind: pa.DataType) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.10g}" if pa.types.is_float64(kind) else f"{value:.7g}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list):
        inner = [_cell(item, kind.value_type) for item in value[:_LIST_SHOWN]]
        more = [f"… {len(value)} values"] if len(value) > _LIST_SHOWN else []
        return f"[{', '.join(inner + more)}]"
    return _text(str(value))


def _text(text: str) -> str:
    """Line breaks and control characters spelt out, so that a cell stays one harmless line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
