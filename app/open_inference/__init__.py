"""The Open Inference Protocol V2: tensors in and out."""
