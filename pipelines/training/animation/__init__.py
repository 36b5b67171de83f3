"""Training of the animation models from datasets: docs/animation_training.md."""
