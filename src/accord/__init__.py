"""Accord: from human judgment to a released language model, every step measured."""

__version__ = "0.1.0"
