"""Sources of posts: a module with a reader for each kind of source, listed in `registry`."""
