"""`tapirus` with the stub tracker in place of the package's: `python cli_driver.py extract …`.

TAPIRUS_TEST_STUB in the environment holds the stub's arguments as JSON.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import stub_tracker

import pipelines.extract.job
from pipelines.cli import main

if __name__ == "__main__":
    stub_tracker.ship()
    stub = functools.partial(
        stub_tracker.StubTracker, **json.loads(os.environ.get("TAPIRUS_TEST_STUB", "{}"))
    )
    pipelines.extract.job.default_factory = lambda settings: stub
    main()
