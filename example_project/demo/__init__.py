"""The demo: the site, a worker and fake services as processes, orders and more, and a check of their ends."""
