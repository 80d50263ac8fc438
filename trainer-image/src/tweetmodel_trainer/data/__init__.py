"""Cleaning, splitting and storing posts."""
