"""What the checks of this folder found out: a row each, and one table of them all."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.report import Table, number

COLUMNS = ["check", "load held", "tried", "sent", "answered", "wrong", "lost", "memory"]


@dataclass(frozen=True)
class Result:
    """What one check did to a server, and what came of it."""

    check: str
    """What was done, as a row's title: "kill -9 of a worker"."""

    tried: int
    """Faults, or inputs, or cancellations."""

    sent: int
    """Requests."""

    answered: int
    """Of those, with what they had to be answered: a result, or a refusal that is right."""

    wrong: int
    """Answers that should have been different: another status, other values, a 500."""

    lost: int
    """Requests without an answer that should have had one. What a killed worker had inside it is not counted."""

    load: float | None = None
    """Requests answered a second meanwhile; None where the check is not about load."""

    growth: float | None = None
    """By what part the resident memory of the processes grew after a warm-up; None where it was not looked at."""

    def cells(self) -> list[str]:
        """In the order of `COLUMNS`."""
        return [
            self.check,
            "" if self.load is None else f"{number(self.load)}/s",
            *(f"{count:,}" for count in (self.tried, self.sent, self.answered, self.wrong, self.lost)),
            "" if self.growth is None else f"{100 * self.growth:+.1f} %",
        ]


@dataclass
class Results:
    """Those of one run. Checks add theirs; what they must be, they assert themselves."""

    rows: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.rows.append(result)

    def table(self) -> Table:
        """A row for each check, in the order of their ends, and the sums."""
        return Table(COLUMNS, [row.cells() for row in [*self.rows, _sum(self.rows)]])


def _sum(rows: Sequence[Result]) -> Result:
    counts = {name: sum(getattr(row, name) for row in rows) for name in ("tried", "sent", "answered", "wrong", "lost")}
    return Result("all", **counts)
