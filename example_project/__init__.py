"""A small shop that lets django-saga carry its orders: the example project."""
