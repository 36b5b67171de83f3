"""Trackers and their weights. Needs only torch and numpy at import."""
