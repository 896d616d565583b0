"""Processes and connections. The only room that knows uvicorn from the inside."""
