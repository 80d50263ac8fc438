"""Experiment trackers: a module for each client library, and a separate process for each tracker.

The trainer starts the processes and appends events to a file (`tracking`, `process`, `events`). Each process reads the
file and calls a client (`__main__`).
"""
