"""Reads what /metrics says."""

from prometheus_client.parser import text_string_to_metric_families


def total(text: str, name: str, /, **labels: str) -> float:
    """The sum of the samples called `name` that have at least these labels; 0 where there is none."""
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())
