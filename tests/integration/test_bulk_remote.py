"""Tests of bulk forecasts on an object store: a real S3 server on this machine, which moto has.

The output is that of a local run, byte for byte, and appears part by part, each as a whole.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from app.bulk.options import WrongOption
from app.bulk.remote import RemotePath, located
from tests.bulk import bulk, contents, write_parts
from tests.server import ROOT, free_port
from tests.waiting import wait_for

OPTIONS = ("--horizon", 4, "--model", "sine", "--workers", 1)
PARTS = 6


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """Run a server of S3 with a bucket `series`, and return pyarrow's file system for it."""
    fs = pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed: make test-cluster")
    pytest.importorskip("moto", reason="moto is not installed: make test-cluster")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "planted")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        system = fs.S3FileSystem(allow_bucket_creation=True, endpoint_override=f"http://127.0.0.1:{port}")

        def is_made() -> bool:
            try:
                system.create_dir("series")
            except OSError:
                return False
            return True

        try:
            wait_for("the bucket", is_made, 120)
            yield system
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def source(s3: Any, tmp_path: Path) -> tuple[Path, str]:
    """Write a folder of parts, and the same on the store. Return both places."""
    local, key = write_parts(tmp_path / "source", PARTS, 40), f"series/{tmp_path.name}/source"
    for part in local.iterdir():
        with s3.open_output_stream(f"{key}/{part.name}") as stream:
            stream.write(part.read_bytes())
    return local, f"s3://{key}"


def remote_contents(s3: Any, url: str) -> dict[str, bytes]:
    """Return the content of each file below a folder on the store."""
    from pyarrow.fs import FileSelector, FileType

    key = url.removeprefix("s3://")
    files = s3.get_file_info(FileSelector(key, recursive=True, allow_not_found=True))
    return {
        info.path.removeprefix(f"{key}/"): s3.open_input_file(info.path).read()
        for info in files
        if info.type == FileType.File
    }


def test_a_folder_on_the_store_becomes_another_one_as_on_a_disk(
    s3: Any, source: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    local, url = source
    out = f"s3://series/{tmp_path.name}/out"
    assert bulk(local, tmp_path / "out", *OPTIONS) == 0
    assert bulk(url, out, *OPTIONS) == 0
    assert remote_contents(s3, out) == contents(tmp_path / "out")
    assert len(remote_contents(s3, out)) == PARTS + 1
    assert bulk(url, out, *OPTIONS) == 0
    assert f"{PARTS} parts had been done before" in capfd.readouterr().err
    assert bulk(url, out, *OPTIONS, "--horizon", 9) == 2
    assert f"{out}/_manifest.json: the output was begun with something else" in capfd.readouterr().err


def test_a_run_that_is_killed_goes_on_and_no_part_is_ever_half_there(
    s3: Any, source: tuple[Path, str], tmp_path: Path
) -> None:
    local, url = source
    out = f"s3://series/{tmp_path.name}/out"
    assert bulk(local, tmp_path / "out", *OPTIONS) == 0
    whole = contents(tmp_path / "out")
    with subprocess.Popen([sys.executable, "-m", "app.bulk", url, out, *map(str, OPTIONS)], cwd=ROOT) as running:
        wait_for("some parts", lambda: len(remote_contents(s3, out)) > 2 or running.poll() is not None, 240)
        running.kill()
    there = remote_contents(s3, out)
    assert len(there) > 2
    assert there.items() <= whole.items()
    assert bulk(url, out, *OPTIONS) == 0
    assert remote_contents(s3, out) == whole


def test_a_file_and_its_refused_series_and_a_backtest(
    s3: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = pl.DataFrame(
        {"unique_id": ["a"] * 30 + ["b"], "ds": [*range(30), 0], "y": [float(n % 7) for n in range(31)]}
    )
    frame.write_parquet(tmp_path / "in.parquet")
    place = RemotePath(f"s3://series/{tmp_path.name}/in.parquet")
    place.write_bytes((tmp_path / "in.parquet").read_bytes())
    options = (*OPTIONS, "--backtest", 2)
    assert bulk(tmp_path / "in.parquet", tmp_path / "out.csv", *options) == 0
    local = capfd.readouterr().err
    assert bulk(str(place), str(place.with_name("out.csv")), *options) == 0
    assert capfd.readouterr().err.replace(f"s3://series/{tmp_path.name}", str(tmp_path)) == local
    assert "refused 1" in local
    there = remote_contents(s3, f"s3://series/{tmp_path.name}")
    assert {name: there[name] for name in there if name.startswith("out")} == {
        name: content for name, content in contents(tmp_path).items() if name.startswith("out")
    }
    assert len(there) == 5


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://series/missing.csv", "s3://series/missing.csv: cannot be read: "),
        ("s3://no-such-bucket/in.csv", "s3://no-such-bucket/in.csv: cannot be read: "),
    ],
)
def test_what_is_not_there_is_named_by_its_url(
    s3: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], url: str, said: str
) -> None:
    assert bulk(url, tmp_path / "out.csv", *OPTIONS) == 1
    assert said in capfd.readouterr().err


def test_a_scheme_without_a_file_system_is_refused(s3: Any) -> None:
    with pytest.raises(WrongOption, match=r"^ftp://host: "):
        located(Path("ftp://host/in.csv")).exists()


def test_a_path_with_a_scheme_is_remote_and_keeps_its_form() -> None:
    path = located(Path("s3://bucket/folder/in.csv.gz"))
    assert isinstance(path, RemotePath)
    assert str(path) == str(path.absolute()) == "s3://bucket/folder/in.csv.gz"
    assert str(path.parent / "out.csv") == str(path.with_name("out.csv")) == "s3://bucket/folder/out.csv"
    assert (path.name, path.suffix) == ("in.csv.gz", ".gz")
    for local in ("in.csv", "/s3:/in.csv", "folder/s3:/in.csv", "."):
        assert type(located(Path(local))) is type(Path(local))


def test_without_pyarrow_a_remote_folder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    with pytest.raises(WrongOption, match=r"pip install '\.\[remote\]'"):
        RemotePath("s3://elsewhere/in.csv").exists()
