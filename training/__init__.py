"""Trains the network on sine waves, offline, and writes the artifact that the service loads."""
