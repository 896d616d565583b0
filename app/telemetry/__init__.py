"""What the service tells of itself: metrics, logs, traces. docs/operations.md is the page for whoever reads them."""
