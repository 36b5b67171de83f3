"""Opening videos safely: local paths and fsspec URLs, moving pictures only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipelines.video.errors import Stage, VideoError
from trajectories import StorageError
from trajectories.remote_file import client_of, open_remote

# Only containers of moving pictures. Without the list a text file opens as "terminal art", and a
# playlist file makes the library open whatever other files or addresses it names.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,gif,apng,"
    "h264,hevc,av1,obu,ivf,m4v,mxf,nut,rm,dv,vob,wtv,y4m,yuv4mpegpipe,webp,webp_anim"
)
# Larger than 8K UHD; a damaged header can claim any size and would take the memory for it.
_MAX_PIXELS = 2**26
# What is read at a time from an object store: a clip of a long video wants its head, the index and
# a few seconds from the middle.
_BLOCK = 2**20


@dataclass(frozen=True)
class OpenVideo:
    """An open file and its video stream; lives as long as the `open_video` block."""

    source: str
    container: InputContainer
    stream: VideoStream

    @property
    def remote(self) -> bool:
        """True when the bytes come from a file store other than the local disk."""
        return is_url(self.source)


def is_url(source: str) -> bool:
    """True for a source that fsspec reads (`gs://…`, `memory://…`); a local path is none."""
    return "://" in source


@contextmanager
def open_video(source: str, *, skip_loop_filter: bool = False) -> Iterator[OpenVideo]:
    """Open a local path or fsspec URL for decoding on one thread.

    `skip_loop_filter` trades exact pixels for speed (about a fifth in h264): only for thumbnails.
    Raises VideoError, stage "open", for whatever is not a readable video.
    """
    with ExitStack() as stack:
        container = stack.enter_context(_open_container(source, stack))
        stream = _video_stream(source, container)
        context = stream.codec_context
        context.thread_count = 1
        options = {"max_pixels": str(_MAX_PIXELS)}
        if skip_loop_filter:
            options["skip_loop_filter"] = "all"
        context.options = options
        yield OpenVideo(source, container, stream)


def _open_container(source: str, stack: ExitStack) -> InputContainer:
    handle: str | IO[bytes]
    if is_url(source):
        handle = _open_remote(source)
        stack.callback(handle.close)
    else:
        _check_local(source)
        # The prefix keeps a name such as "a:b.mp4" from being taken for a protocol.
        handle = "file:" + source
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    try:
        return av.open(handle, "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise VideoError(source, "open", f"not a readable video file ({reason(error)})") from error
    except Exception as error:
        if not is_url(source):
            raise
        # A file store raises its own classes out of the read callback.
        raise _store_error(source, "open", error) from error


def _open_remote(source: str) -> IO[bytes]:
    try:
        return open_remote(*client_of(source), _BLOCK)
    except FileNotFoundError as error:
        raise VideoError(source, "open", "no such file") from error
    except StorageError as error:
        raise VideoError(source, "open", error.reason, transient=error.passing) from error
    except (PermissionError, ImportError) as error:
        raise VideoError(source, "open", f"cannot be opened ({reason(error)})") from error
    except ValueError as error:
        raise VideoError(source, "open", f"no file store for this address ({error})") from error
    except Exception as error:  # every file store has its own exception classes
        raise _store_error(source, "open", error) from error


def _store_error(source: str, stage: Stage, error: Exception) -> VideoError:
    message = f"the file store failed ({reason(error)})"
    return VideoError(source, stage, message, transient=True)


def _check_local(source: str) -> None:
    """One clear cause before FFmpeg sees the path; its own messages do not tell them apart."""
    try:
        status = os.stat(source)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError(source, "open", "no such file") from error
    except (OSError, ValueError) as error:
        raise VideoError(source, "open", f"cannot be opened ({reason(error)})") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(source, "open", "is a directory that cannot be listed or read as a video")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(source, "open", "is not a regular file")
    if not os.access(source, os.R_OK):
        raise VideoError(source, "open", "cannot be read (permission denied)")
    if status.st_size == 0:
        raise VideoError(source, "open", "the file is empty (0 bytes)")


def _video_stream(source: str, container: InputContainer) -> VideoStream:
    # A damaged index leaves an open file without streams, and cover art is a "video" of one image.
    for stream in container.streams.video:
        if int(stream.disposition) & int(av.stream.Disposition.attached_pic):
            continue
        if getattr(stream, "codec_context", None) is None:
            raise VideoError(source, "open", "no decoder for its video codec")
        return stream
    kinds = sorted({stream.type for stream in container.streams})
    found = f"only {', '.join(kinds)}" if kinds else "no streams at all"
    raise VideoError(source, "open", f"holds no video stream ({found})")


def reason(error: BaseException) -> str:
    """The shortest true account of `error`, without the file name that FFmpeg repeats."""
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
