"""A driver process of its own for tests that kill it: `python extract_driver.py JSON`."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import stub_tracker

from pipelines.extract import LogProgress, run_extract, settings_from_dict

if __name__ == "__main__":
    stub_tracker.ship()
    order = json.loads(sys.argv[1])
    summary = run_extract(
        order["inputs"],
        order["output"],
        settings_from_dict(order["settings"]),
        beam_options=order.get("beam_options"),
        factory=functools.partial(stub_tracker.StubTracker, **order.get("stub", {})),
        progress=LogProgress(every=0.5),
    )
    print(json.dumps(dataclasses.asdict(summary)))
