"""Fuzzing of a client's bytes, led by coverage: `python -m tests.reliability.fuzz_parsers token DIR -runs=1000`.

DIR is given valid inputs to begin with, and gets those that reach new code. All other arguments are libFuzzer's. Ends
with a status other than 0 where something does not hold, and writes the input there.
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
