"""The demo: the site, a worker and two fake services as processes, 500 orders, and a check of their ends."""
