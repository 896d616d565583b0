"""Read a server's metrics."""

from collections.abc import Iterator, Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.waiting import wait_for


def metric(url: httpx.URL | str, name: str, /, *, headers: Mapping[str, str] | None = None, **labels: str) -> float:
    """Return a metric's total over all workers of the server at `url`; see `total`. Any of them may answer."""
    answer = httpx.get(httpx.URL(url).join("/metrics"), headers=headers, timeout=30)
    return total(answer.raise_for_status().text, name, **labels)


def steps_after_they_stop_rising(url: httpx.URL | str) -> float:
    """Return the number of executed steps once it stops rising. Fail if it never stops."""
    seen = [-1.0]

    def at_rest() -> bool:
        seen.append(metric(url, "sine_steps_total"))
        return seen[-1] == seen[-2]

    wait_for("the end of steps for nobody", at_rest, every_s=0.2)
    return seen[-1]


def total(text: str, name: str, /, **labels: str) -> float:
    """Return the sum of the samples called `name` that have at least these labels; 0 if there are none."""
    return sum(sample.value for sample in _samples(text, name) if labels.items() <= sample.labels.items())


def by_label(text: str, name: str, label: str) -> dict[str, float]:
    """Return the samples called `name` by one of their labels. Each has another value of it."""
    return {sample.labels[label]: sample.value for sample in _samples(text, name)}


def _samples(text: str, name: str) -> Iterator[Sample]:
    families = text_string_to_metric_families(text)
    return (sample for family in families for sample in family.samples if sample.name == name)
