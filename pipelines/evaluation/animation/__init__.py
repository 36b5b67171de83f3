"""Figures of the animation models: docs/animation_training.md."""
