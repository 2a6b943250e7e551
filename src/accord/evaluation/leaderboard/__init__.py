"""Many models ranked from battles of two."""
