"""The engine runs requests: the served models, admission, the scheduler, and the thread of a model."""
