"""A saga that has another service act, and that service: an app of its own, as its consumers look for
messages beside whatever else is measured.
"""
