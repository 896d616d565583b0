"""The results of this folder's checks: a row for each, and one table of all rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.report import Table, number

COLUMNS = ["check", "load held", "tried", "sent", "answered", "wrong", "lost", "memory"]


@dataclass(frozen=True)
class Result:
    """The counts of one check."""

    check: str
    """The row's title, which names what was done: "kill -9 of a worker"."""

    tried: int
    """The number of faults, inputs or cancellations."""

    sent: int
    """The number of requests."""

    answered: int
    """The number of requests with a right answer: a result, or a refusal that is right."""

    wrong: int
    """The number of wrong answers: another status, other values, a 500."""

    lost: int
    """The number of requests that got no answer but should have. Requests inside a killed worker do not count."""

    load: float | None = None
    """The requests answered a second meanwhile; None if the check is not about load."""

    growth: float | None = None
    """The relative growth of the processes' resident memory after a warm-up; None if it was not measured."""

    def cells(self) -> list[str]:
        """Return the row's cells in the order of `COLUMNS`."""
        return [
            self.check,
            "" if self.load is None else f"{number(self.load)}/s",
            *(f"{count:,}" for count in (self.tried, self.sent, self.answered, self.wrong, self.lost)),
            "" if self.growth is None else f"{100 * self.growth:+.1f} %",
        ]


@dataclass
class Results:
    """The results of one run. Checks add theirs, and assert their own bounds."""

    rows: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.rows.append(result)

    def table(self) -> Table:
        """Return a table with a row for each check, in the order of their ends, and the sums."""
        return Table(COLUMNS, [row.cells() for row in [*self.rows, _sum(self.rows)]])


def _sum(rows: Sequence[Result]) -> Result:
    counts = {name: sum(getattr(row, name) for row in rows) for name in ("tried", "sent", "answered", "wrong", "lost")}
    return Result("all", **counts)
