"""Versions of the database, each from the one before; what is in them is never changed."""
