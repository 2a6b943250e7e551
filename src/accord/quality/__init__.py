"""The people wing's judgment: from raw judgments to consensus."""
