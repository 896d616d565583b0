"""Rival servers of the same network, each as small and as well tuned as its own documentation makes it."""
