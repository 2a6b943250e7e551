"""Release or not: gates as data, their verdicts on measurements, and how both are read and written."""
