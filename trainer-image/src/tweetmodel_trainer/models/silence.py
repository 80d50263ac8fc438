"""Silences transformers in pods, whose logs have neither a terminal nor a reader for warnings about loading."""

from transformers.utils.logging import disable_progress_bar, set_verbosity_error


def silence_transformers() -> None:
    """Disable the progress bars and the warnings of transformers."""
    disable_progress_bar()
    set_verbosity_error()
