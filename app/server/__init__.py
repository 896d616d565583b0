"""Processes and connections. This is the only room that knows uvicorn's insides."""
