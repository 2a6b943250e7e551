"""The written policy of a project, and all that follows from it."""
