"""A settings file that says only how it differs from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.training.config import load_config


def test_values_and_tables_are_laid_over_those_of_the_other(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        "size = 64\nsteps = 7\nwarmup_steps = 1\n"
        "[loss]\nhuber_delta = 2\nposition_weight = 0.5\n[network]\nmixer_blocks = 3\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "middle.toml").write_text(
        'extends = "../base.toml"\nsteps = 8\n[loss]\nhuber_delta = 3\n'
    )
    last = tmp_path / "last.toml"
    last.write_text('extends = "sub/middle.toml"\n[network]\nhighres = false\n')
    config = load_config(last)
    assert (config.size, config.steps) == (64, 8)
    assert (config.loss.huber_delta, config.loss.position_weight) == (3.0, 0.5)
    assert config.network == {"mixer_blocks": 3, "highres": False}
    assert config.architecture().mixer_blocks == 3


@pytest.mark.parametrize("name", ["run.toml", "../here/run.toml", "other.toml", "missing.toml"])
def test_circles_and_missing_files_are_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "other.toml").write_text('extends = "run.toml"\n')
    path = folder / "run.toml"
    path.write_text(f'extends = "{name}"\n')
    with pytest.raises(
        ValueError, match=r"extends .*: no such file, or one that extends"
    ) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
