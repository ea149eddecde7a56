"""A service of its own, with a database of its own: what the other side of remote steps is in real life."""
