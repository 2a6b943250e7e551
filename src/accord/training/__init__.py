"""The tensor wing's learning: pure objectives, one loop, stages."""
