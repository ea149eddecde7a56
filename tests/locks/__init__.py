"""Semantic locks: what a saga keeps others from until it ends."""
