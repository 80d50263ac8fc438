"""Publication on the Hugging Face Hub."""
