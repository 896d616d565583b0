"""Tests that run the examples of docs/scale.md, of bulk forecasts on other engines, where those are installed.

Neither Dask nor Spark is a package that development needs: the extra `engines` brings both. Spark needs Java too.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.bulk import bulk, contents, write_parts
from tests.server import ROOT

_DASK = """
from distributed import LocalCluster
cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
"""

_SPARK = """
from pyspark.sql import SparkSession
local = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
"""


def example(package: str) -> str:
    """Return the code of the page that imports a package."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.DOTALL)
    (found,) = (block for block in blocks if f"from {package}" in block)
    return found


@pytest.mark.parametrize(
    ("package", "before", "there", "here"),
    [
        pytest.param("distributed", _DASK, '"scheduler:8786"', "cluster", id="Dask"),
        pytest.param("pyspark", _SPARK, '.remote("sc://spark:15002")', "", id="Spark"),
    ],
)
def test_the_example_of_an_engine_writes_the_bytes_of_one_process(
    tmp_path: Path, package: str, before: str, there: str, here: str
) -> None:
    if find_spec(package) is None or (package == "pyspark" and shutil.which("java") is None):
        pytest.skip(f"{package} is not installed")
    source = write_parts(tmp_path / "in", 4, 20)
    assert bulk(source, tmp_path / "alone", "--horizon", 24, "--model", "sine", "--workers", 1) == 0
    code = example(package)
    for name, place in ((there, here), ("/shared/in", source), ("/shared/out", tmp_path / "out")):
        assert code.count(str(name)) == 1
        code = code.replace(str(name), str(place))
    lines = [f"    {line}" for line in (before + code).splitlines()]
    script = tmp_path / "example.py"
    script.write_text("\n".join(['if __name__ == "__main__":', *lines]) + "\n")
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}  # of Spark's own processes
    subprocess.run([sys.executable, script], cwd=ROOT, check=True, env=environment)
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
