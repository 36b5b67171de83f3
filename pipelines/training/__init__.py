"""Training of trackers on synthetic clips."""
