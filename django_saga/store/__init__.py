"""The only SQL and the only writers: one topic a module, each function inside its caller's transaction or
its own.
"""
