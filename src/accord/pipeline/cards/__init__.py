"""Cards of what a loop makes: of a snapshot of preferences, and of a model."""
