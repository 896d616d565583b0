"""Fuzz a parser of clients' bytes, guided by coverage: `python -m tests.reliability.fuzz_parsers token DIR -runs=1000`.

DIR receives valid inputs at the start, and later each input that reaches new code. All other arguments are libFuzzer's.
If a check fails, the program writes the input to DIR and exits with a status other than 0.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["app"]):
    from tests.reliability.parsers import PARSERS


def main() -> None:
    """Fuzz one parser, within the bounds that the arguments set."""
    script, name, folder, *bounds = sys.argv
    holds, corpus = PARSERS[name]
    for number, good in enumerate(corpus()):
        (Path(folder) / f"good-{number}").write_bytes(good)
    atheris.Setup([script, folder, f"-artifact_prefix={folder}/", *bounds], lambda data: holds(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
