"""Evaluation, samples and memorization."""
