"""What training and serving share: the network, the artifact, and the runtimes that execute it."""
