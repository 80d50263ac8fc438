"""The operator: observe a TweetModel, decide what should be, apply the difference (see reconcile.py)."""

__version__ = "0.1.0"
