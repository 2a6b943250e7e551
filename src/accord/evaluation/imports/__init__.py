"""Other tools' logs read into one record, and two of them compared item by item."""
