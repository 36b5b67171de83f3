"""The paper's ablations, Tables 4 to 6: small networks trained alike, scored on the same clips.

    python benchmarks/ablations.py --photos PHOTOS --objects CUTOUTS -o out/ablations
    python benchmarks/ablations.py --photos PHOTOS --objects CUTOUTS -o out/ablations --only full

The same command goes on where it was stopped. OUT/tables.md and OUT/results.json are written anew
after every configuration, each of which has its own folder with log, curves and weights.
docs/ablations.md says what the rows stand for.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from pipelines.evaluation import TruthClip
from pipelines.synthetic import TextureBank
from pipelines.training.ablations import (
    FULL,
    NAMES,
    WEIGHTS,
    ablation_config,
    evaluate_ablation,
    held_out_clips,
    markdown,
    train_ablation,
)
from pipelines.training.run import Lines

TABLES = "tables.md"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="textures; by default random ones")
    parser.add_argument("--objects", type=Path, help="RGBA cut-outs, beside --photos")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="instead of the configurations' own number")
    parser.add_argument("--only", action="append", choices=NAMES, help="may be given repeatedly")
    parser.add_argument("--clips", type=int, default=32, help="to score on; default: %(default)s")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes making clips")
    args = parser.parse_args()
    if args.objects and not args.photos:
        parser.error("--objects are cut out of photos: give --photos as well")
    bank = (
        TextureBank.from_folder(args.photos, args.objects)
        if args.photos
        else TextureBank.procedural(0)
    )
    textures, held_out = bank.split(0.1)
    clips = held_out_clips(ablation_config(FULL), held_out, args.clips)
    for name in args.only or NAMES:
        config = ablation_config(name, args.steps)
        print(f"{name}: {config.steps} steps", flush=True)
        train_ablation(
            config,
            textures,
            held_out,
            args.output / name,
            device=args.device,
            workers=args.workers,
            report=Lines(config.steps, config.batch_size, torch.device(args.device)),
        )
        write_tables(args.output, clips, args.device)
    print((args.output / TABLES).read_text())


def write_tables(output: Path, clips: list[TruthClip], device: str) -> None:
    """From all configurations that are trained, now or before."""
    results = {
        name: evaluate_ablation(output / name, clips, more_iterations=name == FULL, device=device)
        for name in NAMES
        if (output / name / WEIGHTS).exists()
    }
    (output / TABLES).write_text(markdown(results))
    scores = {name: result.to_json() for name, result in results.items()}
    (output / "results.json").write_text(json.dumps(scores, indent=1))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"ablations: {error}")
