"""Parts of the measurements: each module measures one subject in its function `measure`."""
