"""Forecast a file of series, or a folder of parts.

    python -m app.bulk sales.csv forecasts.csv --horizon 24 --level 80 95
    python -m app.bulk meters/ forecasts/ --horizon 24 --workers 8
    python -m app.bulk sales.parquet - --horizon 24 | head
    python -m app.bulk sales.csv errors.csv --horizon 24 --backtest 3

The exit status is 0 after success, also where some series could not be forecast; 1 for a run that failed, 2 for options
that cannot be used, and 130 after Ctrl-C.
"""

import sys
from collections.abc import Sequence

INTERRUPTED = 130  # shells report 128 + SIGINT for a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Ctrl-C ends it in the same way from the first import on."""
    try:
        from app.bulk.command import main as command

        command(arguments)
    except KeyboardInterrupt:
        print("python -m app.bulk: error: interrupted; the same command continues", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
