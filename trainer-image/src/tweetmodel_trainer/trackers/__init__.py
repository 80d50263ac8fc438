"""Experiment trackers: a module for each, all of which run in processes of their own (see `tracking`)."""
