"""The people wing's memory: files of records and artifacts."""
