"""Cleaning of posts, and the data set of the cleaned posts."""
