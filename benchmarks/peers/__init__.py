"""Rival servers of the same network. Each is as small and as well tuned as its own documentation makes it."""
