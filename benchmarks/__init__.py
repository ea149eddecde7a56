"""Figures about speed: ``python -m benchmarks --help``. Nothing in the tests depends on them."""
