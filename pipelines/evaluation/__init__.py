"""TAP-Vid metrics, baseline trackers and the loop that scores a tracker."""

from pipelines.evaluation.baselines import lucas_kanade, stand_still
from pipelines.evaluation.benchmark import Metrics, TrackerFn, TruthClip, evaluate
from pipelines.evaluation.tapvid import (
    THRESHOLDS,
    QueryMode,
    TapVidMetrics,
    compute_metrics,
    sample_queries_first,
    sample_queries_strided,
)

__all__ = [
    "THRESHOLDS",
    "Metrics",
    "QueryMode",
    "TapVidMetrics",
    "TrackerFn",
    "TruthClip",
    "compute_metrics",
    "evaluate",
    "lucas_kanade",
    "sample_queries_first",
    "sample_queries_strided",
    "stand_still",
]
