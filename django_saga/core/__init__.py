"""The rules of sagas, pure: no Django, no clock, no chance, no I/O."""
