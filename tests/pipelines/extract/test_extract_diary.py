"""What a process leaves behind when it ends: the clip it was at, and whether it was out of time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.extract.diary import Diary, LastWork, describe_overrun, diary_folder, time_limit

WORK = """
import ctypes, os, sys, time
from pathlib import Path
from pipelines.extract.diary import Diary

def spin():
    while True:
        pass

def locked():
    ctypes.PyDLL(None).sleep(60)

def track(how):
    how()

diary = Diary("actor", Path(sys.argv[1]))
with diary.working_on("run:1:0", None):
    pass
how = {"spin": spin, "locked": locked, "crash": lambda: os._exit(3)}[sys.argv[2]]
with diary.working_on("run:1:1", 0.5):
    track(how)
"""


@pytest.mark.parametrize("how", ["spin", "locked", "crash"])
def test_the_next_process_reads_what_the_last_one_was_at(tmp_path: Path, how: str) -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", WORK, str(tmp_path), how], timeout=60, check=False)
    assert done.returncode == (3 if how == "crash" else 1)
    assert time.monotonic() - start < 30
    before = Diary("actor", tmp_path).before
    assert before.key == "run:1:1"
    if how == "crash":
        assert before.overrun == ""
    else:
        assert before.overrun.startswith(f"no result after less than 1 s, in {how} (<string>:")
    assert Diary("another", tmp_path).before == LastWork()


def test_work_in_time_goes_on_and_leaves_no_trace(tmp_path: Path) -> None:
    diary = Diary("actor", tmp_path)
    for number in range(3):
        with diary.working_on(f"k{number}", 0.3):
            pass
    with time_limit(0.2):
        pass
    time.sleep(0.5)  # nothing is due any more
    assert Diary("actor", tmp_path).before == LastWork("k2", "")


def test_a_trace_in_words() -> None:
    trace = (
        "Timeout (1:00:05)!\n"
        'Thread 0x00007f01 (most recent call first):\n  File "/a/pool.py", line 3 in wait\n\n'
        'Thread 0x00007f02 (most recent call first):\n  File "/a/torch/conv.py", line 12 in conv\n'
        '  File "/a/model.py", line 5 in track\n'
    )
    text = describe_overrun(trace)
    assert text == "no result after 3605 s, in conv (conv.py:12); --clip-timeout sets the limit"
    assert describe_overrun("") == ""
    assert describe_overrun("Fatal Python error: Segmentation fault\n") == ""


def test_diaries_lie_in_the_clusters_own_folder_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert diary_folder("session_1") == tmp_path
    (tmp_path / "ray" / "session_1").mkdir(parents=True)
    assert diary_folder("session_1") == tmp_path / "ray" / "session_1"
