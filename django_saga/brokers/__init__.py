"""Adapters of brokers behind ``ports.Broker``; each optional package is imported in its own module only."""
