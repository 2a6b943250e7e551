"""Is it better, and are we sure?"""
