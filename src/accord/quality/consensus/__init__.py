"""Consensus on categorical labels: votes, and models of who errs how."""
