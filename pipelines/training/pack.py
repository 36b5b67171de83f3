"""Packing what training reads into one file, small enough to travel.

python -m pipelines.training.pack --photos PHOTOS --objects CUTOUTS -o textures.npz --limit-mib 55
python -m pipelines.training.pack --videos CLIPS -o clips.npz --limit-mib 30
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.synthetic import TextureBank
from pipelines.training.real import RealClips

_MIB = 1 << 20
# Longest side of photos, of cut-outs, JPEG quality: from what training likes best downwards.
_STEPS = (
    (512, 320, 93),
    (512, 256, 90),
    (512, 224, 85),
    (448, 192, 80),
    (384, 160, 80),
    (320, 144, 80),
    (256, 128, 80),
    (192, 96, 75),
)


def pack_textures(photos: Path, objects: Path | None, target: Path, limit_bytes: int) -> str:
    """Write the best bank of textures that is not larger than the limit; says what it is.

    Raises ValueError where even the smallest pictures are too many.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        for photo_side, object_side, quality in _STEPS:
            bank = TextureBank.from_folder(photos, objects, photo_side, object_side)
            bank.save(temporary, quality)
            size = temporary.stat().st_size
            if size <= limit_bytes:
                os.replace(temporary, target)
                return (
                    f"{len(bank.photos)} photos of at most {photo_side} px at quality {quality}, "
                    f"{len(bank.objects)} cut-outs of at most {object_side} px"
                )
    finally:
        temporary.unlink(missing_ok=True)
    raise ValueError(
        f"{photos}: the textures take {size / _MIB:.1f} MiB even at {photo_side} px, more than "
        f"{limit_bytes / _MIB:g}; give fewer pictures or a higher limit"
    )


def pack_videos(
    videos: Path, target: Path, limit_bytes: int | None, excluded: Sequence[str] = ()
) -> str:
    """Write videos as they are: as many as fit, of as many sources as possible.

    `excluded` names sources to leave out: the part of a file's name before `__`. Raises
    ValueError where none is left, and for an excluded source that is not there.
    """
    clips = RealClips.from_folder(videos)
    unknown = sorted(set(excluded) - set(clips.sources))
    if unknown:
        raise ValueError(f"{videos} holds no source {unknown[0]!r} to leave out")
    room = sum(len(data) for data in clips.data) if limit_bytes is None else limit_bytes
    # The names and the sizes take some room as well.
    chosen = clips.fitting(room - 1024 * len(clips) if limit_bytes else room, excluded)
    target.parent.mkdir(parents=True, exist_ok=True)
    chosen.save(target)
    return f"{len(chosen)} of {len(clips)} videos, of {len(set(chosen.sources))} sources"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.training.pack",
        description="Pack textures, or real clips, into one file.",
    )
    parser.add_argument("--photos", type=Path, help="folder of photos")
    parser.add_argument("--objects", type=Path, help="folder of RGBA cut-outs, beside --photos")
    parser.add_argument("--videos", type=Path, help="folder of short videos, in place of --photos")
    parser.add_argument(
        "--exclude", action="append", default=[], help="source of videos to leave out; repeatable"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write, .npz")
    parser.add_argument("--limit-mib", type=float, help="largest size of the file")
    options = parser.parse_args(argv)
    if (options.photos is None) == (options.videos is None):
        parser.error("give either --photos or --videos")
    limit = None if options.limit_mib is None else int(options.limit_mib * _MIB)
    try:
        if options.photos is not None:
            said = pack_textures(
                options.photos, options.objects, options.output, limit or sys.maxsize
            )
        else:
            said = pack_videos(options.videos, options.output, limit, options.exclude)
    except (ValueError, OSError) as error:
        print(f"pack: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(f"{options.output}: {options.output.stat().st_size / _MIB:.1f} MiB, {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
