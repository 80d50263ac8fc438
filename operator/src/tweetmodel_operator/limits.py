"""Limits shared by `manifests` and `decide.deletion`."""

MAX_PURGE_SECONDS = 1800
"""Time limit for the purge of a deleted TweetModel."""
