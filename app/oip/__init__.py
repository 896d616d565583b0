"""The Open Inference Protocol V2: tensors in and out. Its routes are in `app/routes/oip.py`."""
