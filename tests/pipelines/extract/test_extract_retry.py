"""Whose fault an error is."""

from __future__ import annotations

import re

import pytest
import ray.exceptions

from pipelines.extract.retry import FAULTS, Fault, fault_of, one_line, problem_of
from pipelines.video import VideoError


@pytest.mark.parametrize("name", FAULTS)
def test_every_listed_error_exists_in_this_ray_or_is_known_to_come_and_go(name: str) -> None:
    newer_or_older = {
        "NodePreemptedError",
        "RpcError",
        "ObjectReconstructionFailedError",
        "LocalRayletDiedError",
        "ReferenceCountingAssertionError",
    }
    assert hasattr(ray.exceptions, name) or name in newer_or_older


def test_no_error_of_ray_about_deaths_losses_or_shortage_is_forgotten() -> None:
    words = re.compile("Died|Lost|Crash|Memory|Unavailable|OutOf|Full|Preempt|Unschedulable|System")
    found = {
        name: kind
        for name, kind in vars(ray.exceptions).items()
        if isinstance(kind, type) and issubclass(kind, Exception) and words.search(name)
    }
    assert len(found) > 8
    for name, kind in found.items():
        assert any(base.__name__ in FAULTS for base in kind.__mro__), name


def test_an_ordinary_exception_is_the_clips_own() -> None:
    assert fault_of(ZeroDivisionError()) is Fault.CLIP


def test_the_video_error_tells_its_stage_and_whether_it_may_pass() -> None:
    final = problem_of(VideoError("a.mp4", "open", "is no video"), "decode")
    assert (final.stage, final.error, final.fault) == ("open", "VideoError", Fault.INPUT)
    assert final.message == "is no video"
    passing = problem_of(VideoError("a.mp4", "decode", "503", transient=True), "decode")
    assert passing.fault is Fault.CLIP


def test_a_wrapped_error_is_judged_by_what_is_inside() -> None:
    inner = ray.exceptions.WorkerCrashedError()
    wrapped = ray.exceptions.RayTaskError("track", "trace", inner).as_instanceof_cause()
    problem = problem_of(wrapped, "track")
    # The decoder of a clip crashed, so the tracker's call got no argument.
    assert (problem.stage, problem.error) == ("decode", "WorkerCrashedError")
    assert problem.fault is Fault.DEATH


def test_messages_are_one_bounded_line() -> None:
    text = one_line(ValueError("a\n  b\t" + "c" * 1000))
    assert text.startswith("a b c")
    assert len(text) == 500
    assert one_line(ValueError()) == "ValueError"
