"""File formats of posts."""
