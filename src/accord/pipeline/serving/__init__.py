"""Models behind an OpenAI-compatible interface, and a page to talk to two of them."""
