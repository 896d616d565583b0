"""Where a request runs: the models in service, admission, the scheduler, and the model's thread."""
