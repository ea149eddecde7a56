"""The services outside, as the apps call them."""
