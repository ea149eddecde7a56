"""Messages out and in: relays that send the outbox, and consumers that empty the inbox."""
