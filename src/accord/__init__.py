"""Accord: from human judgment to a released language model, every step measured."""

from accord.client import Client

__all__ = ["Client"]

__version__ = "0.1.0"
