"""Offline training of the network on sine waves or series. It writes the artifact that the service loads."""
