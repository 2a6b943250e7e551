"""Collecting feedback: what annotators are asked, and the server that asks them."""
