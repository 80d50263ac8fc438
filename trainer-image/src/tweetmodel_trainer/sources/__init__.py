"""Where posts come from: one module a kind of source, each a function that yields posts."""
