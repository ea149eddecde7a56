"""Where attempts run: threads for ``def`` steps, one event loop for ``async def`` steps."""
