"""Tests of bulk forecasts on a Ray cluster: the bytes are those of one process, and a lost node changes nothing.

`make test-cluster` installs Ray. The cluster is two nodes on this machine, with processes of their own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.bulk.cluster import ADDRESS, ray_tasks
from app.bulk.options import WrongOption
from tests.bulk import contents, parts_of, write_parts
from tests.server import ROOT, free_port
from tests.waiting import wait_for

PARTS, SERIES, HORIZON = 24, 1000, 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Run a head that does no work, and two nodes of one core each."""
    pytest.importorskip("ray", reason="Ray is not installed: make test-cluster")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("series") / "source", PARTS, SERIES)


def command(source: Path, out: Path, *options: str) -> list[str]:
    arguments = [source, out, "--horizon", HORIZON, "--model", "sine", *options]
    return [sys.executable, "-m", "app.bulk", *map(str, arguments)]


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the status and the messages of a command that has to end."""
    _, said = process.communicate(timeout=300)
    return process.returncode, said


def start(command: list[str], variables: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stderr=subprocess.PIPE, text=True)


def test_a_node_that_is_killed_in_the_middle_changes_no_byte(cluster: Any, source: Path, tmp_path: Path) -> None:
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    assert ended(start(command(source, alone, "--workers", "1"), {}))[0] == 0
    running = start(command(source, spread, "--engine", "ray"), {ADDRESS: cluster.address})

    wait_for("the first parts", lambda: parts_of(spread), 240)
    _, victim = sorted(cluster.worker_nodes, key=lambda node: str(node.unique_id))
    cluster.remove_node(victim, allow_graceful=False)
    assert len(parts_of(spread)) < PARTS, "the node was killed before the end"
    status, said = ended(running)
    assert status == 0, said
    assert f"forecast {PARTS * SERIES:,} series of {PARTS} parts; refused 0" in said
    assert contents(spread) == contents(alone)
    assert len(contents(spread)) == PARTS + 1


def test_an_error_of_a_part_is_that_of_one_process(cluster: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.csv").write_text("unique_id,ds,y\na,1,1\n")
    (source / "b.csv").write_text("unique_id,ds,y\nb,1,1\na,2,2\n")
    alone = ended(start(command(source, tmp_path / "out", "--workers", "1"), {}))
    spread = ended(start(command(source, tmp_path / "out", "--engine", "ray"), {ADDRESS: cluster.address}))
    assert spread == alone
    assert spread[0] == 1
    assert "a series has to lie in one part" in spread[1]


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: make test-cluster")
    monkeypatch.setenv(ADDRESS, f"127.0.0.1:{free_port()}")
    with pytest.raises(WrongOption, match="no cluster answers at 127"), ray_tasks():
        pass


def test_without_ray_the_option_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WrongOption, match="Ray is not installed"), ray_tasks():
        pass
