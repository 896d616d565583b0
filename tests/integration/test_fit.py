"""Tests of warnings and diagnostics in every dialect: a model says it when a sequence does not fit."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from websockets.sync.client import connect

from model.intervals import LARGEST_RATIO
from model.metadata import Fitting
from sine_client import AsyncClient, Client
from tests.artifacts import make_small_artifact, some_intervals
from tests.integration.test_client_command import ask as command
from tests.integration.test_client_command import in_shell
from tests.metrics import metric
from tests.server import Server, serve

SEQUENCE = [((7 * t) % 11 - 5) / 5 + 20 for t in range(40)]
INFER = {"inputs": [{"name": "sequence", "shape": [2, 40], "datatype": "FP64", "data": [*SEQUENCE, *[3.0] * 40]}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a model that no sequence fits, and one that every sequence fits."""
    folder = tmp_path_factory.mktemp("fit")
    never = Fitting(contexts=[8], clean=[1e-6], noisiest=[1e-5], largest_ratio=[2.0])
    model = make_small_artifact(folder, fit=never, intervals=some_intervals(contexts=(8, 16)), called="never")
    always = never.model_copy(update={"largest_ratio": [1e9]})
    make_small_artifact(folder, fit=always, name="always.pt", called="always")
    with serve(folder, model=model, models=folder, workers=1) as running:
        yield running


def ask(server: Server, path: str = "/predict", **fields: Any) -> dict[str, Any]:
    response = httpx.post(server.url + path, json={"sequence": SEQUENCE} | fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def warning(answer: dict[str, Any]) -> str:
    (text,) = answer["warnings"]
    assert "not of the kind that never was trained for" in text
    return str(text)


def test_an_answer_for_a_sequence_that_does_not_fit_has_a_warning(server: Server) -> None:
    before = metric(server.url, "sine_warnings_total", model="never")
    warning(ask(server))
    warning(ask(server, "/generate", steps=3))
    assert metric(server.url, "sine_warnings_total", model="never") == before + 2
    assert metric(server.url, "sine_fit_ratio_count", model="never") == before + 2
    assert "warnings" not in ask(server, model="always")
    assert "warnings" not in ask(server, sequence=SEQUENCE[:7])
    assert "warnings" not in ask(server, sequence=[3.0] * 40)


def test_diagnostics_add_the_fit(server: Server) -> None:
    answer = ask(server, diagnostics=True, model="always")
    fit = answer.pop("fit")
    assert answer == ask(server, model="always")
    assert fit["expected"] == pytest.approx(1e-5)  # half of the range is 1
    assert fit["ratio"] == pytest.approx(fit["residual"] / fit["expected"])
    assert fit["values"] == 16
    assert ask(server, "/generate", steps=3, diagnostics=True, model="always")["fit"] == fit
    assert ask(server, sequence=SEQUENCE[:7], diagnostics=True)["fit"] is None
    assert ask(server, sequence=[3.0] * 40, diagnostics=True)["fit"] == {
        "residual": 0,
        "expected": 0,
        "ratio": 0,
        "values": 16,
    }
    refused = httpx.post(f"{server.url}/predict", json={"sequence": SEQUENCE, "diagnostics": 1})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/diagnostics")


def test_a_state_carries_what_the_fit_needs(server: Server) -> None:
    whole = ask(server, sequence=SEQUENCE * 4, diagnostics=True)
    first = ask(server, sequence=(SEQUENCE * 4)[:100], return_state=True)
    later = ask(server, sequence=(SEQUENCE * 4)[100:], state=first["state"], diagnostics=True)
    assert (later["fit"], warning(later)) == (whole["fit"], warning(whole))
    rolled = ask(server, "/generate", steps=5, return_state=True)
    again = ask(server, "/generate", sequence=[], state=rolled["state"], steps=5)
    assert warning(again) == warning(rolled), "a rollout observes nothing"


def test_a_stream_ends_with_the_warning(server: Server) -> None:
    body = {"sequence": SEQUENCE, "steps": 40, "diagnostics": True}
    with httpx.Client() as client, connect_sse(client, "POST", f"{server.url}/generate/stream", json=body) as source:
        events = [(event.event, json.loads(event.data)) for event in source.iter_sse()]
    assert {name for name, data in events if "warnings" in data or "fit" in data} == {"done"}
    whole = ask(server, "/generate", steps=40, diagnostics=True)
    assert (events[-1][1]["warnings"], events[-1][1]["fit"]) == (whole["warnings"], whole["fit"])


def test_live_answers_have_the_warning(server: Server) -> None:
    with connect(server.url.replace("http", "ws") + "/live") as socket:
        for number, value in enumerate(SEQUENCE, 1):
            socket.send(str(value))
            answer = json.loads(socket.recv())
            assert ("warnings" in answer) == (number >= 8), number
    assert answer == ask(server)


def test_the_open_inference_protocol_has_the_warning_among_the_parameters(server: Server) -> None:
    answer = httpx.post(f"{server.url}/v2/models/never/infer", json=INFER).json()
    assert answer["parameters"] == {"warnings": "0: " + warning(ask(server))}
    assert "parameters" not in httpx.post(f"{server.url}/v2/models/always/infer", json=INFER).json()


def test_intervals_are_as_wide_as_the_fit_asks_for(server: Server) -> None:
    answer = ask(server, level=[80], diagnostics=True)
    fit, (high,) = answer["fit"], answer["intervals"]["hi-80"]
    spread = fit["residual"] * min(LARGEST_RATIO, fit["ratio"]) ** 2
    radius = some_intervals(contexts=(8, 16)).radius_CNRVK[1, 0, 0, 79, 0]
    assert high - answer["prediction"] == pytest.approx(spread * radius, rel=1e-6)


@pytest.mark.anyio
async def test_the_client_has_warnings_and_fit(server: Server) -> None:
    wanted = ask(server, diagnostics=True)
    with Client(server.url) as client:
        answers = [client.predict(SEQUENCE, diagnostics=True), client.generate(SEQUENCE, 5, diagnostics=True)]
        with client.stream(SEQUENCE, 40, diagnostics=True) as rollout:
            assert len([value for part in rollout for value in part.values]) == 40
        fitting, short = client.predict(SEQUENCE, model="always"), client.predict(SEQUENCE[:7], diagnostics=True)
    async with AsyncClient(server.url) as other:
        answers.append(await other.predict(SEQUENCE, diagnostics=True))
        async with other.stream(SEQUENCE, 40, diagnostics=True) as same:
            assert len([part async for part in same]) > 1
    for judged in (*answers, rollout.end, same.end):
        assert judged.warnings == wanted["warnings"]
        assert judged.fit is not None
        assert judged.fit.model_dump() == wanted["fit"]
    assert (fitting.warnings, fitting.fit, short.warnings, short.fit) == (None, None, None, None)


VALUES = " ".join(map(str, SEQUENCE))


@pytest.mark.parametrize(
    "arguments", [["predict"], ["generate"], ["generate", "--plot"], ["stream"], ["predict", "--json"]]
)
def test_the_command_line_warns_on_standard_error(server: Server, arguments: list[str]) -> None:
    said = f"sine: warning: {warning(ask(server))}\n"
    status, printed, errors = command(server, *arguments, text=VALUES)
    assert (status, errors) == (0, said)
    assert "warning: " not in printed
    assert command(server, *arguments, "--model", "always", text=VALUES)[2] == ""


def test_the_command_line_prints_the_fit_where_it_is_asked_for(server: Server) -> None:
    fit = ask(server, diagnostics=True)["fit"]
    numbers = f"residual {fit['residual']:.3g}, expected 1e-05, ratio {fit['ratio']:.3g}, of 16 values"
    asked = ["--diagnostics", "--model", "always"]
    for name in ("predict", "generate", "stream"):
        plain = command(server, name, "--model", "always", text=VALUES)[1]
        said = f"sine: fit: {numbers}\n"
        assert command(server, name, *asked, text=VALUES) == (0, plain, said)
        status, printed, errors = command(server, name, *asked, "--json", text=VALUES)
        assert (status, json.loads(printed.splitlines()[-1])["fit"], errors) == (0, fit, "")
    status, _, errors = command(server, "predict", *asked, text="1 2 3")
    said = "fit: not known; it needs at least 8 values, and a model that was calibrated for it"
    assert (status, errors) == (0, f"sine: {said}\n")
    assert json.loads(command(server, "predict", *asked, "--json", text="1 2 3")[1]) == ask(
        server, model="always", sequence=[1, 2, 3], diagnostics=True
    )


@pytest.mark.parametrize("closed", ["2>&-", "2> /dev/full"])
def test_a_warning_that_cannot_be_written_costs_no_value(server: Server, closed: str) -> None:
    program = f"{sys.executable} -m sine_client predict"
    ran: subprocess.CompletedProcess[str] = in_shell(f"echo {VALUES} | {program} {closed}", server)
    assert (ran.returncode, ran.stdout) == (0, f"{ask(server)['prediction']}\n")
