"""Scores, samples and memorization of a trained model."""
