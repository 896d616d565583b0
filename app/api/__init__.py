"""The endpoints of the service, and the layers around them."""
