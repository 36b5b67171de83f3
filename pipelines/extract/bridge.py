"""The extraction as a Beam transform: buckets of videos in, receipts of committed shards out.

Elements are a few integers; videos, frames and tracks never pass through Beam. A bucket is planned
and tracked in one step behind the Reshuffle, not in two with another Reshuffle between: a runner
finishes a stage before the next begins, so all videos of an archive would be searched for shot
cuts before the first clip is tracked. Here the next bucket is planned while this one is tracked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.extract.cluster import connect
from pipelines.extract.coordinator import Coordinator
from pipelines.extract.inputs import Bucket
from pipelines.extract.spec import RunSpec
from trajectories import ShardReceipt

Element = tuple[int, int, int]  # generation, bucket, number of videos


def bucket_element(bucket: Bucket, sources: int) -> Element:
    """A bucket as it travels through Beam."""
    return bucket.generation, bucket.index, sources


class TrackBuckets(beam.DoFn):
    """Tracks all clips of the buckets it is given on the run's Ray actors.

    Effects are idempotent: a bundle that is tried again finds its committed shards and goes on.
    """

    def __init__(self, run: RunSpec) -> None:
        self._run = run
        self._coordinator: Coordinator | None = None
        self._clips = Metrics.counter("tapirus", "clips")
        self._tracks = Metrics.counter("tapirus", "tracks")
        self._failures = Metrics.counter("tapirus", "failures")
        self._bytes = Metrics.counter("tapirus", "bytes")

    def start_bundle(self) -> None:
        connect(self._run.ray_address)
        self._coordinator = Coordinator(self._run)

    def process(self, element: Element) -> Iterator[ShardReceipt]:
        generation, index, sources = element
        assert self._coordinator is not None
        try:
            self._coordinator.accept(Bucket(generation, index), sources)
            receipts = self._coordinator.advance()
        except BaseException:
            self._coordinator.abort()
            raise
        yield from self._counted(receipts)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        assert self._coordinator is not None
        try:
            receipts = self._coordinator.finish()
        except BaseException:
            self._coordinator.abort()
            raise
        self._coordinator = None
        window = GlobalWindow()
        for receipt in self._counted(receipts):
            yield WindowedValue(receipt, window.max_timestamp(), (window,))

    def _counted(self, receipts: Iterable[ShardReceipt]) -> Iterator[ShardReceipt]:
        for receipt in receipts:
            self._clips.inc(receipt.clips)
            self._tracks.inc(receipt.tracks)
            self._failures.inc(receipt.failures)
            self._bytes.inc(receipt.bytes)
            yield receipt


class TrackVideos(beam.PTransform):
    """Buckets → receipts, spread over Beam's workers."""

    def __init__(self, run: RunSpec) -> None:
        super().__init__()
        self._run = run

    def expand(self, buckets: beam.PCollection) -> beam.PCollection:
        return (
            buckets
            | "Spread" >> beam.Reshuffle()
            | "Track" >> beam.ParDo(TrackBuckets(self._run)).with_output_types(ShardReceipt)
        )
