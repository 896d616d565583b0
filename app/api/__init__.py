"""What a request means: the endpoints of the service, and what stands around them."""
