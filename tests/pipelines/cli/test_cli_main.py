"""Exit codes, one-line errors, help, and what may be imported when."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from pipelines.cli.main import _COMMANDS, cli
from pipelines.extract import ClusterError
from tests.pipelines.cli.cli_makers import Outcome
from trajectories import Dataset

Run = Callable[..., Outcome]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes the command `schema` raise."""

    def install(error: BaseException) -> None:
        def callback() -> None:
            raise error

        monkeypatch.setattr(
            "pipelines.cli.schema.command", click.Command("schema", callback=callback)
        )

    return install


def test_help_lists_every_command_with_a_summary(tapirus: Run) -> None:
    outcome = tapirus("--help")
    assert (outcome.code, outcome.err) == (0, "")
    for name, summary in _COMMANDS.items():
        assert any(line.split() == [name, *summary.split()] for line in outcome.out.splitlines())


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_explains_itself(tapirus: Run, name: str) -> None:
    outcome = tapirus(name, "-h")
    assert (outcome.code, outcome.err) == (0, "")
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.opts[-1] in outcome.out
            assert param.help


def test_help_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'apache_beam', 'numpy', 'pyarrow', 'av', 'cv2', 'rich'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [(), ("nonsense",), ("track",), ("stats", "a", "b"), ("query", "d", "SELECT 1", "--limit", 0)],
)
def test_wrong_usage_is_exit_code_2(tapirus: Run, words: tuple[object, ...]) -> None:
    outcome = tapirus(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: tapirus" in outcome.err


@pytest.mark.parametrize(
    "error,line",
    [
        (ValueError("first\n  second"), "first second"),
        (ClusterError("no cluster"), "no cluster"),
        (FileNotFoundError(2, "No such file or directory", "/a/b"), "/a/b: No such file or"),
        (OSError("disk gone"), "disk gone"),
        (MemoryError(), "out of memory: use fewer"),
        (click.ClickException("plain"), "plain"),
    ],
)
def test_expected_errors_are_one_line(
    tapirus: Run, failing: Callable[[BaseException], None], error: BaseException, line: str
) -> None:
    failing(error)
    outcome = tapirus("schema")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"tapirus: {line}")
    assert len(outcome.err.splitlines()) == 1


def test_ctrl_c_is_exit_code_130(tapirus: Run, failing: Callable[[BaseException], None]) -> None:
    failing(KeyboardInterrupt())
    outcome = tapirus("schema")
    assert outcome.code == 130
    assert outcome.err.strip() == "tapirus: stopped by Ctrl-C"


# EOFError: click takes it for an interrupt.
@pytest.mark.parametrize("kind", [ZeroDivisionError, EOFError])
def test_a_mistake_in_the_program_keeps_its_traceback(
    tapirus: Run, failing: Callable[[BaseException], None], kind: type[Exception]
) -> None:
    failing(kind("a bug"))
    with pytest.raises(kind):
        tapirus("schema")


def test_tracebacks_can_be_asked_for(
    tapirus: Run, failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPIRUS_TRACEBACK", "1")
    failing(ValueError("where?"))
    with pytest.raises(ValueError, match="where"):
        tapirus("schema")


def test_a_reader_that_leaves_early_causes_no_message(dataset: Dataset) -> None:
    # More output than a pipe holds, so that the writer meets the closed end.
    sql = "SELECT p.* FROM points p, range(100)"
    read, write = os.pipe()
    code = "import sys; from pipelines.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "query", dataset.root, sql, "--limit", "20000"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    os.close(write)
    os.read(read, 100)
    os.close(read)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode in (0, 1)  # the last write may still go through
