"""What deploy/ has, for real: Debian's Prometheus scrapes two workers under load, and every query finds something."""

import asyncio
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from websockets.asyncio.client import connect

from app.bulk.__main__ import main as bulk
from tests.metrics import metric
from tests.server import ROOT, Server, free_port, serve
from tests.waiting import wait_for

CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yml"
RULES = CONFIG.with_name("rules.yml")
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "sine.json"

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus and promtool are not installed: apt-get install prometheus",
)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("observed"), workers=2, max_pending_s=0.001) as server:
        yield server


@pytest.fixture(scope="module")
def bulk_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the metrics of a bulk run, as a node exporter does. Return the address."""
    folder = tmp_path_factory.mktemp("bulk")
    walk: list[float] = np.random.default_rng(0).standard_normal(64).cumsum().tolist()
    series = {"walk": walk, "short": [1.0]}
    rows = [f"{name},{step},{value}" for name, values in series.items() for step, value in enumerate(values)]
    (folder / "in.csv").write_text("\n".join(["unique_id,ds,y", *rows]))
    run = ["--horizon", "3", "--model", "sine", "--metrics", str(folder / "metrics.prom")]
    bulk([str(folder / "in.csv"), str(folder / "out.csv"), *run])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write((folder / "metrics.prom").read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def prometheus(observed: Server, bulk_metrics: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The API of a Prometheus with the project's configuration, but for the target and the pace."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] = dict.fromkeys(config["global"], "1s")
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [observed.url.removeprefix("http://")]}]
    config["scrape_configs"].append({"job_name": "node", "static_configs": [{"targets": [bulk_metrics]}]})
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://{address}/api/v1") as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


async def load(server: Server, seconds: float) -> None:
    """A little of everything that there is to count."""
    wave = [0.0, 0.5, 1.0, 0.5]
    walk = np.random.default_rng(0).standard_normal(64).cumsum().tolist()  # which the default model does not fit
    tensor = {"name": "sequence", "datatype": "FP64", "shape": [1, 4], "data": wave}
    until = time.monotonic() + seconds
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=30) as client,
        connect(f"{server.url.replace('http', 'ws')}/live") as socket,
    ):
        while time.monotonic() < until:
            await client.post("/predict", json={"sequence": wave})
            await client.post("/predict", json={"sequence": []})
            await client.post("/predict", json={"sequence": walk})
            await client.post("/v2/models/sine/infer", json={"inputs": [tensor]})
            await client.post("/generate/stream", json={"sequence": wave, "steps": 50})
            long = {"sequence": wave, "steps": 10_000}
            await asyncio.gather(*(client.post("/generate", json=long) for _ in range(6)))  # the last are refused
            await socket.send("0.5")
            await socket.recv()


def queries() -> list[str]:
    """Those of the dashboard with everything selected, and what the rules record and compare with a limit."""
    panels = dashboard()["panels"]
    asked = [
        target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel.get("targets", [])
    ]
    shown = [re.sub(r"\$(job|instance|model)\b", ".*", query) for query in asked]
    assert not any("$" in query for query in shown)
    rules = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    return [*shown, *(re.sub(r" (?:==|<|>) [\d.]+$", "", rule) for rule in rules)]


def test_a_bulk_run_writes_its_metrics(bulk_metrics: str) -> None:
    url = f"http://{bulk_metrics}"
    counted = [metric(url, "sine_bulk_series", outcome=outcome) for outcome in ("forecast", "refused")]
    assert counted == [1, 1]
    assert metric(url, "sine_bulk_misfits") == 1
    assert [metric(url, "sine_bulk_parts", state=state) for state in ("all", "done")] == [1, 1]
    began = metric(url, "sine_bulk_started_timestamp_seconds")
    assert began <= metric(url, "sine_bulk_succeeded_timestamp_seconds") <= time.time()


def has_data(result: list[dict[str, Any]]) -> bool:
    return any(sample["value"][1] != "NaN" for sample in result)


@needs_prometheus
def test_every_query_of_the_dashboard_and_of_the_rules_finds_data(observed: Server, prometheus: httpx.Client) -> None:
    deadline = time.monotonic() + 120
    empty = queries()
    assert len(empty) > 20
    while empty:
        assert time.monotonic() < deadline, f"no data for {empty}"
        asyncio.run(load(observed, seconds=2))
        try:
            answers = [prometheus.get("query", params={"query": query}).json() for query in empty]
        except httpx.TransportError:  # it is starting
            continue
        assert all(answer["status"] == "success" for answer in answers), answers
        empty = [query for query, answer in zip(empty, answers, strict=True) if not has_data(answer["data"]["result"])]
    rules = [rule for group in prometheus.get("rules").json()["data"]["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    assert "firing" not in {rule.get("state") for rule in rules}


def test_the_seconds_that_the_threads_are_busy_are_counted(observed: Server) -> None:
    def busy(thread: str) -> float:
        return metric(observed.url, "sine_busy_seconds_total", thread=thread)

    before = busy("event_loop")
    asyncio.run(load(observed, seconds=0.1))
    wait_for("the event loops to be counted", lambda: busy("event_loop") > before)
    worked = sum(metric(observed.url, "sine_model_seconds_total", stage=stage) for stage in ("encode", "rollout"))
    assert 0 < worked == pytest.approx(busy("model"))


@needs_prometheus
def test_every_variable_of_the_dashboard_has_values(observed: Server, prometheus: httpx.Client) -> None:
    variables = {each["name"]: each["query"]["query"] for each in dashboard()["templating"]["list"]}
    values = {}
    for name, query in variables.items():
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        match = re.sub(r"\$(job|instance)", ".*", selector)
        values[name] = prometheus.get(f"label/{label}/values", params={"match[]": match}).json()["data"]
    address = observed.url.removeprefix("http://")
    assert values == {"job": ["sine"], "instance": [address], "model": ["any", "sine"]}


@needs_prometheus
def test_what_prometheus_scrapes_is_the_sum_over_all_workers(observed: Server, prometheus: httpx.Client) -> None:
    answer = prometheus.get("query", params={"query": "sine_workers_ready"}).json()
    assert [sample["value"][1] for sample in answer["data"]["result"]] == ["2"]


@needs_prometheus
@pytest.mark.parametrize(("kind", "file"), [("config", CONFIG), ("rules", RULES)])
def test_promtool_finds_no_fault(kind: str, file: Path) -> None:
    subprocess.run(["promtool", "check", kind, str(file)], check=True)


@needs_prometheus
def test_promtool_finds_no_fault_with_the_metrics(observed: Server) -> None:
    text = httpx.get(f"{observed.url}/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_compose_adds_both_for_this_machine_alone() -> None:
    commands = (["docker", "compose"], ["docker-compose"])
    command = next((command for command in commands if _works(command)), None)
    if command is None:
        pytest.skip("neither docker compose nor docker-compose is installed")
    project = ["--profile", "observability", "config"]
    shown = subprocess.run([*command, *project], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    services = yaml.safe_load(shown)["services"]
    for name, container_port in (("prometheus", 9090), ("grafana", 3000)):
        (port,) = services[name]["ports"]
        assert "127.0.0.1" in str(port)
        assert str(container_port) in str(port)
        assert re.search(r":v?\d+\.\d+\.\d+$", services[name]["image"])
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert mounts
    for mount in mounts:
        assert (ROOT / mount.split(":")[0]).exists()


def test_the_dashboard_asks_the_provisioned_source() -> None:
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    asking = [*dashboard()["templating"]["list"], *(panel for panel in dashboard()["panels"] if panel["type"] != "row")]
    assert {each["datasource"]["uid"] for each in asking} == {source["datasources"][0]["uid"]}


def test_the_dashboard_keeps_to_grafanas_schema() -> None:
    """Read the dashboard with Grafana's own types. They forget what is not in the schema, so nothing may be missing."""
    models, plugins, encoder = (
        pytest.importorskip(f"grafana_foundation_sdk.{name}", reason="needs grafana-foundation-sdk")
        for name in ("models.dashboard", "cog.plugins", "cog.encoder")
    )
    plugins.register_default_plugins()
    read = json.loads(encoder.JSONEncoder().encode(models.Dashboard.from_json(dashboard())))
    assert missing(dashboard(), read) == []


def missing(expected: Any, found: Any, at: str = "") -> list[str]:
    """Return the places of `expected` that `found` has not, or has otherwise. It may have more."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [place for name, value in expected.items() for place in missing(value, found.get(name), f"{at}/{name}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [place for number, pair in pairs for place in missing(*pair, f"{at}/{number}")]
    return [] if expected == found else [at]


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return read


def _works(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
