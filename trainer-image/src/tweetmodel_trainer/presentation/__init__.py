"""Model card, web page and preview image."""
