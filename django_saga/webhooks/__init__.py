"""Callbacks over HTTP: what partners without a broker answer, and tell, comes in here."""
