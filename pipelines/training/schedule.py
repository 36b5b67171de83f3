"""Learning-rate schedule."""

from __future__ import annotations

import math


def learning_rate(step: int, peak: float, warmup_steps: int, steps: int) -> float:
    """Linear warm-up to ``peak``, then a cosine to zero at ``steps``."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return peak * 0.5 * (1 + math.cos(math.pi * progress))
