"""Trains the network on sine waves or series, offline, and writes the artifact that the service loads."""
