"""A word on every annotator."""
