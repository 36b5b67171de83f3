"""What is written is what is read, and SQL says what the arrays say: drawn by Hypothesis."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trajectories.made_clips import info
from trajectories import (
    SCHEMA_VERSION,
    ClipTracks,
    DatasetSpec,
    Failure,
    FileRecord,
    ShardReceipt,
    ShardWriter,
    committed_shards,
    create_dataset,
    encode_clip,
    open_dataset,
)
from trajectories.lease import Lease, lease_from_json, lease_to_json
from trajectories.receipts import receipt_from_json, receipt_to_json
from trajectories.schema import SCHEMAS
from trajectories.tables import storable_text

TEXT = st.text(max_size=12)  # any of Unicode, lone surrogates among it
NAMES = st.text("abcXYZ019_-", min_size=1, max_size=8)
COUNTS = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)  # fmt: skip
_number = itertools.count()


def fresh() -> str:
    return f"memory://round-trips/{next(_number)}"


@given(
    st.builds(
        ShardReceipt,
        shard=NAMES,
        clips=COUNTS,
        tracks=COUNTS,
        failures=COUNTS,
        bytes=COUNTS,
        sources=st.dictionaries(TEXT.map(storable_text), COUNTS, max_size=4),
        files=st.dictionaries(
            st.sampled_from(list(SCHEMAS)), st.builds(FileRecord, COUNTS, COUNTS, NAMES)
        ),
        schema_version=st.integers(1, SCHEMA_VERSION),
    )
)
@settings(deadline=None)
def test_receipts(receipt: ShardReceipt) -> None:
    written = receipt_to_json(receipt)
    assert receipt_from_json(written, "x") == receipt
    # Equal receipts are equal bytes, whatever the order they were made in.
    turned = dataclasses.replace(
        receipt,
        sources=dict(reversed(receipt.sources.items())),
        files=dict(reversed(receipt.files.items())),
    )
    assert receipt_to_json(turned) == written


@given(
    st.builds(
        Lease,
        token=NAMES,
        host=TEXT,
        machine=TEXT,
        pid=COUNTS,
        process_started=NAMES,
        started=st.floats(allow_nan=False),
        heartbeat=st.floats(allow_nan=False),
        beat=COUNTS,
    ),
    st.data(),
)
@settings(deadline=None)
def test_leases_whole_and_cut_short(lease: Lease, data: st.DataObject) -> None:
    written = lease_to_json(lease)
    assert lease_from_json(written) == lease
    cut = data.draw(st.integers(0, len(written) - 2))
    assert lease_from_json(written[:cut]) is None


@given(NAMES, NAMES, st.dictionaries(st.text(max_size=4), JSON, max_size=4))
@settings(deadline=None, max_examples=60)
def test_the_description_of_a_dataset(tracker: str, digest: str, values: dict[str, Any]) -> None:
    spec = DatasetSpec(tracker=tracker, weights_digest=digest, settings=values)
    root = fresh()
    create_dataset(root, spec)
    assert open_dataset(root).spec == spec
    create_dataset(root, spec)  # the same again is no difference


CLIPS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 9), st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=5,
)


def drawn_clip(position: int, tracks: int, frames: int, seed: int) -> ClipTracks:
    """Points all over and far outside the clip, seen now and then."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([1.0, 300.0, 20000.0])
    return ClipTracks(
        info("/v/x.mp4", start_s=2.0 * position, num_frames=frames),
        rng.uniform(-50, 300, (tracks, 3)).astype(np.float32),
        rng.normal(128, spread, (tracks, frames, 2)).astype(np.float32),
        rng.random((tracks, frames)) < rng.random(),
        rng.random((tracks, frames)).astype(np.float32),
    )


def written(drawn: list[tuple[int, int, int]], order: list[int]) -> tuple[str, list[ClipTracks]]:
    clips = [drawn_clip(place, *values) for place, values in enumerate(drawn)]
    root = fresh()
    create_dataset(root, DatasetSpec(tracker="t", weights_digest=""))
    with ShardWriter(root, "s") as writer:
        for place in order:
            writer.add(encode_clip(clips[place]))
        writer.commit()
    return root, clips


@given(CLIPS, st.randoms())
@settings(deadline=None, max_examples=60)
def test_clips_come_back_within_the_encodings_error(
    drawn: list[tuple[int, int, int]], rng: Any
) -> None:
    order = list(range(len(drawn)))
    rng.shuffle(order)
    root, clips = written(drawn, order)
    again, _ = written(drawn, sorted(order))
    receipts = [committed_shards(path)["s"].files for path in (root, again)]
    assert receipts[0] == receipts[1]  # the digests of the bytes among it
    for clip, back in zip(clips, open_dataset(root), strict=True):
        assert back.info == clip.info
        np.testing.assert_array_equal(back.queries, clip.queries)
        np.testing.assert_array_equal(back.visible, clip.visible)
        # 1/64 px, and float32 has no finer steps far outside.
        bound = 1 / 128 + np.spacing(np.abs(clip.tracks))
        assert (np.abs(back.tracks - clip.tracks) <= bound).all()
        assert (np.abs(back.uncertainty - clip.uncertainty) <= 1 / 30 + 1e-6).all()


@given(
    st.lists(
        st.builds(
            Failure,
            TEXT,
            st.none() | NAMES,
            st.none() | st.floats(0, 1e6),
            st.none() | st.floats(0, 1e6),
            st.sampled_from(["open", "plan", "decode", "track"]),
            NAMES,
            TEXT,
            st.integers(1, 99),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(deadline=None, max_examples=60)
def test_failures(failures: list[Failure]) -> None:
    root = fresh()
    create_dataset(root, DatasetSpec(tracker="t", weights_digest=""))
    with ShardWriter(root, "s") as writer:
        writer.commit(failures)

    def row(failure: Failure) -> tuple[Any, ...]:
        return tuple(
            storable_text(value) if isinstance(value, str) else value
            for value in dataclasses.astuple(failure)
        )

    back = [tuple(found.values()) for found in open_dataset(root).failures().to_pylist()]
    assert sorted(back, key=repr) == sorted(map(row, failures), key=repr)


@given(
    CLIPS,
    st.floats(0, 1),
    st.floats(0, 400),
    st.integers(-1, 9),
    st.tuples(*[st.integers(-100, 350)] * 4),
)
@settings(deadline=None, max_examples=25)
def test_queries_are_what_the_arrays_say(
    drawn: list[tuple[int, int, int]],
    share: float,
    displacement: float,
    frame: int,
    box: tuple[int, int, int, int],
) -> None:
    root, _ = written(drawn, list(range(len(drawn))))
    dataset = open_dataset(root)
    seen_at, boxed, many = set(), set(), set()
    x0, y0, x1, y1 = box
    scalars = dataset.tracks(["clip_id", "track", "displacement", "visible_fraction"]).to_pylist()
    for clip in dataset:
        clip_id = clip.info.clip_id
        for n in range(len(clip)):
            seen = np.flatnonzero(clip.visible[n])
            x, y = clip.tracks[n].T
            if frame in seen:
                seen_at.add((clip_id, n, x[frame].item(), y[frame].item()))
            inside = [t for t in seen if x0 <= x[t] < x1 and y0 <= y[t] < y1]
            if inside:
                boxed.add((clip_id, n, min(inside), max(inside), len(inside)))
            if len(seen) > share * clip.info.num_frames:
                many.add((clip_id, n))
    rows = dataset.sql(f"SELECT clip_id, track, x, y FROM visible_at({frame})").fetchall()
    assert sorted(rows) == sorted(seen_at)
    assert sorted(dataset.sql(f"FROM in_box({x0}, {y0}, {x1}, {y1})").fetchall()) == sorted(boxed)
    rows = dataset.sql(
        f"""SELECT clip_id, track FROM points
            GROUP BY ALL HAVING sum(visible::INT) > {share!r}::DOUBLE * count(*)"""
    ).fetchall()
    assert sorted(rows) == sorted(many)
    rows = dataset.sql(
        f"SELECT clip_id, track FROM tracks WHERE displacement > {displacement!r}::DOUBLE"
    ).fetchall()
    wanted = {(r["clip_id"], r["track"]) for r in scalars if r["displacement"] > displacement}
    assert set(rows) == wanted
