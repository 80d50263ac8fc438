"""Time limits that more than one module depends on."""

MAX_PURGE_SECONDS = 1800
"""Time after which the operator gives up the purge of a deleted TweetModel."""
