"""The customers' club: points for orders, by services that nobody directs."""
