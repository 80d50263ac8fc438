"""The operator: observes a TweetModel, decides about the next writes, applies them (see reconcile.py)."""

__version__ = "0.1.0"
