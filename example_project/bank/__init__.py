"""A bank: accounts, and the saga that carries a transfer from one to another."""
