"""Tests of the audit in `make lint`, with a vulnerability service that knows of one vulnerability, or of none."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.server import ROOT

VULNERABLE = "numpy"


@contextmanager
def service(status: int = 200) -> Iterator[str]:
    """Run a service that answers as OSV does and knows of one vulnerability. Return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = asked["package"]["name"]
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
            hole = {
                "id": "PYSEC-2026-1",
                "aliases": [],
                "summary": "planted",
                "affected": [
                    {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges, "versions": [asked["version"]]}
                ],
            }
            body = json.dumps({"vulns": [hole]} if name == VULNERABLE else {}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audited(url: str, pinned: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py", url, pinned],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("pinned", "status", "found"),
    [
        ("pydantic==2.14.3\n", 200, 0),
        (f"pydantic==2.14.3\n{VULNERABLE}==2.4.6\n", 200, 1),
        ("pydantic==2.14.3\n", 500, 1),
    ],
    ids=["nothing", "a hole", "a service that fails"],
)
def test_a_service_that_answers_is_the_verdict(tmp_path: Path, pinned: str, status: int, found: int) -> None:
    (tmp_path / "pinned.txt").write_text(pinned)
    with service(status) as url:
        ran = audited(url, tmp_path / "pinned.txt")
    assert ran.returncode == found, ran.stderr
    assert ("PYSEC-2026-1" in ran.stdout) == (VULNERABLE in pinned)
    assert "NOT AUDITED" not in ran.stdout


def test_the_audit_passes_with_a_warning_without_a_service(tmp_path: Path) -> None:
    (tmp_path / "pinned.txt").write_text(f"{VULNERABLE}==2.4.6\n")
    ran = audited("http://127.0.0.1:1/v1/query", tmp_path / "pinned.txt")
    assert ran.returncode == 0
    assert "NOT AUDITED" in ran.stdout


def test_every_version_is_pinned_as_the_audit_reads_them() -> None:
    """pip-audit skips no line: each line of the constraints is a name and one version."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 80
    assert all(line.count("==") == 1 for line in lines)
