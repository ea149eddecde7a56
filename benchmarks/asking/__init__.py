"""A saga that has another service act: an app of its own, as its consumer looks for messages all the time."""
