"""The page, the model card and the preview image of a finished run."""
