"""The tensor wing's ground: what a model is."""
