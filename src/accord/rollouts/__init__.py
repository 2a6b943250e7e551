"""The tensor wing's mouth: making completions and rewarding them."""
