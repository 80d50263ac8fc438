"""Base models, tokenizers and adapters."""
