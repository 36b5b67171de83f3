"""Videos in and out: finding them, cutting them into clips, reading clips, writing videos."""

from pipelines.video.decode import ClipReader, read_clip
from pipelines.video.errors import SourceError, VideoError
from pipelines.video.plan import Plan, plan_clips
from pipelines.video.probe import VideoProbe, probe_video
from pipelines.video.settings import ClipSettings, ClipSpec
from pipelines.video.sources import expand_sources
from pipelines.video.whole import Video, read_video
from pipelines.video.write import write_video

__all__ = [
    "ClipReader",
    "ClipSettings",
    "ClipSpec",
    "Plan",
    "SourceError",
    "Video",
    "VideoError",
    "VideoProbe",
    "expand_sources",
    "plan_clips",
    "probe_video",
    "read_clip",
    "read_video",
    "write_video",
]
