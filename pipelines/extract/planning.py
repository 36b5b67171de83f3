"""From the videos of a bucket to its shards, written down before the first clip is tracked.

A shard's name comes from its content (clip ids, failed sources) and its place in the bucket, never
from workers or progress. The plan is recorded once per bucket in `plans/<bucket>.parquet` and every
run reads it back, so a run that goes on after a kill makes exactly the shards that the first one
would have made, although a video may have changed, vanished or come back in between, and no video
is searched for shot cuts twice. A shard's name also tells how many its bucket has: whether a bucket
is finished can be seen from the names of the committed shards alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.extract.inputs import Bucket, damaged
from pipelines.video import ClipSpec, Plan
from trajectories import ClipInfo, Failure
from trajectories.storage import Storage, is_temporary
from trajectories.tables import parquet_file

_FOLDER = "plans"
_SCHEMA = pa.schema([("shard", pa.string()), ("clips", pa.int32()), ("plan", pa.string())])
_SHARDS_AT_ONCE = 16  # a row group; what a reader holds in memory
_NAME = re.compile(r"g(\d{4,})-b(\d{5,})-(\d{4,})of(\d{4,})-[0-9a-f]{16}")


@dataclass(frozen=True)
class PlannedSource:
    """One video after planning: its clips, packed small, and what is wrong with it."""

    source: str
    clips: int
    packed: bytes
    failure: Failure | None
    seconds: float = 0.0

    def specs(self) -> list[ClipSpec]:
        """The clips, in order of time."""
        if not self.clips:
            return []
        return [_spec_from_dict(item) for item in json.loads(zlib.decompress(self.packed))]


@dataclass(frozen=True)
class ShardPlan:
    """What one output file will hold: clips to track, and failures known already."""

    name: str
    specs: tuple[ClipSpec, ...]
    failures: tuple[Failure, ...]


def pack_source(plan: Plan, seconds: float = 0.0) -> PlannedSource:
    """The plan of a video that could be read, with a failure beside the clips of a damaged one."""
    text = json.dumps([_spec_to_dict(spec) for spec in plan.specs], separators=(",", ":"))
    failure = None
    if plan.error is not None:
        failure = Failure(
            plan.source,
            None,
            None,
            None,
            plan.error.stage,
            type(plan.error).__name__,
            plan.error.message,
            1,
        )
    packed = zlib.compress(text.encode())
    return PlannedSource(plan.source, len(plan.specs), packed, failure, seconds)


def failed_source(
    source: str, stage: str, error: str, message: str, attempts: int
) -> PlannedSource:
    """The plan of a video that could not be read: a row among the failures."""
    failure = Failure(source, None, None, None, stage, error, message, attempts)
    return PlannedSource(source, 0, b"", failure)


def cut_shards(
    bucket: Bucket, planned: Sequence[PlannedSource], shard_clips: int
) -> Iterator[ShardPlan]:
    """Cuts a bucket's clips, sources in order of name, into shards of `shard_clips`.

    A failure goes with the shard that is open when its source's turn comes; a bucket of failures
    alone still makes one shard. One source at a time is unpacked.
    """
    planned = sorted(planned, key=lambda item: item.source)
    total = max(1, -(-sum(item.clips for item in planned) // shard_clips))
    chunk = 0
    specs: list[ClipSpec] = []
    failures: list[Failure] = []

    def close() -> ShardPlan:
        return ShardPlan(
            shard_name(bucket, chunk, total, specs, failures), tuple(specs), tuple(failures)
        )

    for item in planned:
        if item.failure is not None:
            failures.append(item.failure)
        for spec in item.specs():
            if len(specs) == shard_clips:
                yield close()
                chunk, specs, failures = chunk + 1, [], []
            specs.append(spec)
    if specs or failures:
        yield close()


def shard_name(
    bucket: Bucket,
    chunk: int,
    total: int,
    specs: Sequence[ClipSpec],
    failures: Sequence[Failure],
) -> str:
    """Name of a shard: bucket, place in it, and a digest of what it is to hold."""
    digest = hashlib.blake2b(digest_size=8)
    for spec in specs:
        digest.update(b"clip\0" + spec.info.clip_id.encode() + b"\0")
    for failure in failures:
        digest.update(b"failure\0" + failure.source.encode("utf-8", "surrogatepass") + b"\0")
    return f"{bucket.name}-{chunk:04d}of{total:04d}-{digest.hexdigest()}"


def finished_buckets(committed: Iterable[str]) -> set[Bucket]:
    """Buckets all of whose shards are committed, from the shards' names alone."""
    seen: dict[tuple[Bucket, int], set[int]] = defaultdict(set)
    for name in committed:
        match = _NAME.fullmatch(name)
        if match:
            generation, index, chunk, total = map(int, match.groups())
            seen[Bucket(generation, index), total].add(chunk)
    return {bucket for (bucket, total), chunks in seen.items() if len(chunks) == total}


def bucket_of(shard: str) -> Bucket | None:
    """The bucket that a shard belongs to, by its name; None for a name that is not ours."""
    match = _NAME.fullmatch(shard)
    return Bucket(int(match[1]), int(match[2])) if match else None


def write_plan(storage: Storage, bucket: Bucket, shards: Iterable[ShardPlan]) -> None:
    """Records a bucket's plan, whole or not at all."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for shard in shards:
            plan = {
                "specs": [_spec_to_dict(spec) for spec in shard.specs],
                "failures": [asdict(failure) for failure in shard.failures],
            }
            text = json.dumps(plan, separators=(",", ":"))
            rows.append({"shard": shard.name, "clips": len(shard.specs), "plan": text})
            if len(rows) == _SHARDS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
    storage.write(_file(bucket), sink.getvalue())


def read_plan(storage: Storage, bucket: Bucket) -> Iterator[ShardPlan] | None:
    """A bucket's recorded plan, shard by shard; None where there is none yet."""
    try:
        data = storage.read(_file(bucket))
    except FileNotFoundError:
        return None
    try:
        return _shards(parquet_file(data))
    except pa.ArrowInvalid as error:
        raise damaged(storage, _file(bucket), error) from error


def recorded_clip(storage: Storage, shard: str, clip_id: str) -> ClipSpec | None:
    """How to read a clip of a shard, as its run recorded it; None where that is not known."""
    bucket = bucket_of(shard)
    plans = read_plan(storage, bucket) if bucket is not None else None
    for plan in plans or ():
        if plan.name == shard:
            return next((spec for spec in plan.specs if spec.info.clip_id == clip_id), None)
    return None


def sweep_plans(storage: Storage) -> None:
    """Removes temporary files that a killed run left among inputs and plans."""
    for folder in (_FOLDER, "inputs"):
        for name in storage.list_files(folder):
            if is_temporary(name):
                storage.remove(name)


def _shards(file: pq.ParquetFile) -> Iterator[ShardPlan]:
    for batch in file.iter_batches(batch_size=_SHARDS_AT_ONCE):
        for row in batch.to_pylist():
            plan = json.loads(row["plan"])
            yield ShardPlan(
                row["shard"],
                tuple(_spec_from_dict(item) for item in plan["specs"]),
                tuple(Failure(**item) for item in plan["failures"]),
            )


def _file(bucket: Bucket) -> str:
    return f"{_FOLDER}/{bucket.name}.parquet"


def _spec_to_dict(spec: ClipSpec) -> dict[str, Any]:
    values = asdict(spec)
    values["packed_ticks"] = base64.b64encode(spec.packed_ticks).decode("ascii")
    return values


def _spec_from_dict(values: dict[str, Any]) -> ClipSpec:
    values = dict(values)
    values["info"] = ClipInfo(**values["info"])
    values["packed_ticks"] = base64.b64decode(values["packed_ticks"])
    return ClipSpec(**values)
