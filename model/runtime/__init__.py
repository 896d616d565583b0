"""Runtimes execute an artifact. `open_runtime` in `select.py` chooses one."""
