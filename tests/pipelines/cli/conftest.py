"""The command line in this process, a small dataset, and files that are no good videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli import main
from tests.pipelines.cli.cli_makers import (
    BadFiles,
    Outcome,
    StubTracker,
    make_dataset,
    make_video,
)
from tests.pipelines.video.video_makers import write_audio
from trajectories import Dataset


@pytest.fixture
def tapirus(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line: `tapirus("stats", folder)`."""

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in words])
        captured = capfd.readouterr()
        assert isinstance(stopped.value.code, int)
        return Outcome(stopped.value.code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 frames of 64 x 48 that nobody changes."""
    return make_video(tmp_path_factory.mktemp("video") / "good.mp4")


@pytest.fixture(scope="session")
def bad_files(video: Path, tmp_path_factory: pytest.TempPathFactory) -> BadFiles:
    """The last name is that of a file that does not exist."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video\n" * 40)
    data = video.read_bytes()
    (folder / "truncated.mp4").write_bytes(data[: len(data) // 2])
    write_audio(folder / "audio.mp4")
    names = ("empty.mp4", "text.mp4", "truncated.mp4", "audio.mp4", "missing.mp4")
    return BadFiles(folder, names)


@pytest.fixture
def stub_tracker(monkeypatch: pytest.MonkeyPatch) -> StubTracker:
    """Stands in for the network in this process."""
    stub = StubTracker()
    monkeypatch.setattr("models.load_tracker", lambda *words: stub)
    return stub


@pytest.fixture
def dataset(video: Path, tmp_path: Path) -> Dataset:
    """The two clips of `video` in `tmp_path/tracks`, and a failure."""
    return make_dataset(tmp_path / "tracks", video)
