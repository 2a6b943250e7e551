"""The front door: the only room that prints."""
