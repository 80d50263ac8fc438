"""Fine-tuning and its checkpoints."""
