"""The recipe for a bare GPU machine, rehearsed: packed textures, a kill, going on, small files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipelines.synthetic import TextureBank
from pipelines.training import pack, run
from pipelines.training.log import LOG, Figures, read_log
from pipelines.training.run import Deadline, Lines
from tests.pipelines.training import bare_machine

_ROOT = Path(__file__).resolve().parents[3]
_MIB = 1 << 20
_CONFIG = """
size = 32
num_frames = 4
num_queries = 4
num_iterations = 1
batch_size = 1
steps = 6
warmup_steps = 2
bf16 = false
validation_clips = 1
validate_every = 2
checkpoint_every = 1
flip = true
reverse = true
[network]
group_channels = [8, 8, 16, 16]
cost_channels = [4, 8, 8]
mixer_channels = 16
mixer_blocks = 1
"""


def started(folder: Path, out: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, bare_machine.__file__, "--config", folder / "run.toml"]
    command += ["--textures", folder / "textures.npz", "--out", out, *words]
    command += ["--workers", 1, "--part-mib", 0.2, "--device", "cpu"]
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
    )


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def comparable(lines: list[Figures]) -> list[Figures]:
    return [{k: v for k, v in line.items() if k not in ("seconds", "waited")} for line in lines]


def test_a_killed_run_goes_on_elsewhere_to_the_same_losses(tmp_path: Path) -> None:
    TextureBank.procedural(seed=1, count=24, size=48).save(tmp_path / "textures.npz")
    (tmp_path / "run.toml").write_text(_CONFIG)
    whole = started(tmp_path, tmp_path / "whole")

    cut = started(tmp_path, tmp_path / "cut")
    assert cut.stdout is not None
    for line in cut.stdout:
        if line.startswith("step 2/6"):
            cut.kill()
            break
    cut.communicate()
    rest = started(tmp_path, tmp_path / "rest", "--resume", tmp_path / "cut")
    for said in (ended(whole), ended(rest)):
        assert "step 6/6" in said
        assert "clips/s" in said
        assert "held-out AJ" in said

    second = read_log(tmp_path / "rest")
    assert 3 <= second[0]["step"] <= 6
    first = [line for line in read_log(tmp_path / "cut") if line["step"] < second[0]["step"]]
    assert comparable(first + second) == comparable(read_log(tmp_path / "whole"))
    for name in ("whole", "rest"):
        files = list((tmp_path / name).iterdir())
        assert len(files) <= 8
        assert sum(".pt." in file.name for file in files) >= 2
        assert (tmp_path / name / "curves.png") in files
        assert all(file.stat().st_size <= 0.2 * _MIB for file in files)


def here(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: object) -> int:
    """The same in this process."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    command = ["--config", folder / "run.toml", "--out", folder / "out", "--workers", 0, *words]
    return run.main([str(word) for word in command])


def test_it_stops_in_time_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(_CONFIG.replace("steps = 6", "steps = 2"))
    # No time for anything but a step, after which there is a checkpoint.
    assert here(monkeypatch, tmp_path, "--minutes", 0.01) == 0
    assert "stopped at step 1 of 2" in capsys.readouterr().out
    assert [line["step"] for line in read_log(tmp_path / "out")] == [1]
    assert here(monkeypatch, tmp_path) == 0
    assert [line["step"] for line in read_log(tmp_path / "out")] == [1, 2]


def test_time_is_kept_for_a_step_as_long_as_the_longest() -> None:
    times = iter([0.0, 10.0, 30.0, 50.0, 74.0, 76.0])
    deadline = Deadline(2.0, lambda: next(times))
    # The longest step took 20 s, then 24: half as much again and 15 s are kept of 120.
    assert [deadline() for _ in range(5)] == [False, False, False, True, True]
    unlimited = Deadline(None, lambda: 1e9)
    assert not unlimited()
    unlimited.asked = True
    assert unlimited()


def test_a_line_says_how_fast_and_how_good() -> None:
    lines = Lines(steps=100, batch_size=4, device=torch.device("cpu"))
    for step, seconds in ((9, 1.0), (10, 3.0)):
        lines._since.append({"step": step, "loss": step / 10, "seconds": seconds, "waited": 0.5})
    lines._since[-1] |= {"val_aj": 0.5, "val_delta": 0.25, "val_oa": 0.75}
    assert lines.line() == (
        "step 10/100  loss 0.950  2.0 clips/s  waiting 25%  held-out AJ 50.0 delta 25.0 OA 75.0"
    )


def photos(folder: Path, count: int = 3, side: int = 300) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        noise = rng.integers(0, 256, (side, side, 3), np.uint8)
        cv2.imwrite(str(folder / f"photo{index}.png"), noise)
    return folder


def test_textures_shrink_until_they_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = photos(tmp_path / "photos")
    target = tmp_path / "deep" / "textures.npz"
    sizes = []
    for limit in (None, 0.2, 0.05):
        words = [] if limit is None else ["--limit-mib", str(limit)]
        assert pack.main(["--photos", str(source), "-o", str(target), *words]) == 0
        assert limit is None or target.stat().st_size <= limit * _MIB
        bank = TextureBank.load(target)
        assert list(bank.photo_names) == ["photo0", "photo1", "photo2"]
        sizes.append(bank.photos[0].shape[0])
        assert "3 photos" in capsys.readouterr().out
    assert sizes[0] == 300
    assert sizes[0] >= sizes[1] > sizes[2] >= 96


def test_textures_that_never_fit_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = photos(tmp_path / "photos")
    words = ["--photos", str(source), "-o", str(tmp_path / "t.npz"), "--limit-mib", "0.01"]
    assert pack.main(words) == 1
    assert "give fewer pictures or a higher limit" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(_CONFIG.replace("steps = 6", "stepz = 6"))
    assert here(monkeypatch, tmp_path) == 1
    err = capsys.readouterr().err
    assert err.startswith("training: ")
    assert "'stepz'" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_log_is_read_up_to_where_a_kill_cut_it(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text(
        json.dumps({"step": 2, "loss": 1.0})
        + "\n"
        + json.dumps({"step": 1, "loss": 2.0})
        + '\n{"st'
    )
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2]
    with pytest.raises(ValueError, match="no such log"):
        read_log(tmp_path / "nowhere")
