"""Fake services outside: processes that speak HTTP, keep a ledger each, and sometimes fail."""
