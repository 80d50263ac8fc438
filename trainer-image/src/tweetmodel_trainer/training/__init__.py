"""Fine-tuning, checkpoints and early stopping."""
