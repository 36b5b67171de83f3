"""Query results as text."""

from __future__ import annotations

import pyarrow as pa

from pipelines.cli.tables import format_table


def test_numbers_stand_right_and_text_left() -> None:
    table = pa.table({"name": ["a", "longer"], "n": [5, 12345]})
    assert format_table(table).splitlines() == [
        "\x1b[1mname        n\x1b[0m",
        "a           5",
        "longer  12345",
    ]


def test_nothing_is_cut_in_a_pipe() -> None:
    text = "word " * 500 + "end"
    assert text in format_table(pa.table({"a": [text], "b": [text]}))


def test_what_is_too_wide_for_the_terminal_has_one_value_a_line() -> None:
    table = pa.table({"id": ["x" * 30, "y"], "note": ["z" * 60, None]})
    assert format_table(table, 92).count("\n") == 2
    assert format_table(table, 91).splitlines() == [
        "\x1b[1mrow 1\x1b[0m",
        "id    " + "x" * 30,
        "note  " + "z" * 60,
        "\x1b[1mrow 2\x1b[0m",
        "id    y",
        "note  -",
    ]


def test_floats_keep_the_digits_of_their_type() -> None:
    table = pa.table(
        {
            "single": pa.array([0.1], pa.float32()),
            "double": pa.array([123456.7891], pa.float64()),
        }
    )
    assert format_table(table).splitlines()[1].split() == ["0.1", "123456.7891"]


def test_long_lists_and_bytes_say_how_much_there_is() -> None:
    table = pa.table({"list": [list(range(100))], "short": [[1, 2]], "raw": [bytes(300)]})
    row = format_table(table).splitlines()[1]
    assert row == "[0, 1, 2, 3, 4, 5, 6, 7, … 100 values]  [1, 2]  <300 bytes>"


def test_control_characters_and_line_breaks_are_spelt_out() -> None:
    row = format_table(pa.table({"a": ["one\ntwo\x1b[31m"], "b": ["漢字"]})).splitlines()
    assert row[1:] == ["one\\ntwo\\x1b[31m  漢字"]


def test_wide_characters_keep_columns_aligned() -> None:
    lines = format_table(pa.table({"a": ["漢字", "abcd"], "b": ["x", "x"]})).splitlines()
    assert lines[1:] == ["漢字  x", "abcd  x"]


def test_no_rows_leave_the_header() -> None:
    empty = pa.table({"a": pa.array([], pa.int32()), "b": pa.array([], pa.string())})
    assert format_table(empty) == "\x1b[1ma  b\x1b[0m"
    assert format_table(empty, 2).split() == ["a", "b"]
