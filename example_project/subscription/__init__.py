"""A service by subscription: plans, seats, and the saga that activates what was subscribed to."""
