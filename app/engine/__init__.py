"""Where a request runs: the served models, admission, the scheduler, and the thread of a model."""
