"""Tests of the shipped model's promise: it continues any sine of 8 to 64 samples a period from 64 samples."""

import math
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from model.network import Network
from model.runtime.base import Runtime
from model.runtime.check import tolerance
from model.runtime.select import Engine, open_runtime
from tests.server import ROOT


@pytest.fixture(scope="module")
def shipped() -> Runtime:
    return open_runtime(read_artifact(DEFAULT_ARTIFACT), "cpu").runtime


DIGEST = "89d7c88780cae06836e5dc87c1040b1444974e9b3b59c82cc48d4cf4f832a000"
NOT_MOVED = (
    "model/network.py and its class Network must keep path and name: TorchScript writes both, and the compiled code "
    "of the class, into every artifact, so a move, a rename or a change of that code changes every digest"
)

ENGINES: tuple[Engine, ...] = ("fused", "torchscript")
PERIODS = [8, 8.2, 9, 10, 10.3, 12, 13.7, 16, 19.3, 20, 24, 27.1, 32, 36.6, 40, 45.5, 50, 58.3, 64]
PHASES_B = 0.05 + math.tau * np.arange(48) / 48


def test_the_shipped_model_has_the_digest_that_operators_pin() -> None:
    """Services name this digest in SINE_MODEL_SHA256. Only a new training may change it."""
    assert read_artifact(DEFAULT_ARTIFACT).digest == DIGEST


def test_an_artifact_contains_the_path_of_its_module_and_the_name_of_its_class() -> None:
    with zipfile.ZipFile(DEFAULT_ARTIFACT) as archive:
        [code] = [archive.read(name) for name in archive.namelist() if name.endswith("code/__torch__/model/network.py")]
    assert b"class Network(Module):" in code
    assert (Network.__module__, Network.__qualname__) == ("model.network", "Network"), NOT_MOVED


EXPORT = """
import sys
from pathlib import Path
import torch
from model import DEFAULT_ARTIFACT
from model.artifact import load_module, network_of, read_artifact, save_artifact

artifact = read_artifact(DEFAULT_ARTIFACT)
metadata = artifact.metadata
network = network_of(metadata)
network.load_state_dict(load_module(artifact, torch.device("cpu")).state_dict())
print(save_artifact(network, metadata, artifact.golden, Path(sys.argv[1]), artifact.intervals))
"""
"""A program that exports the shipped weights again. TorchScript gives a class that one process has compiled before
another name, so the export needs a process of its own, like a training."""


def test_the_shipped_weights_exported_again_give_the_same_digest(tmp_path: Path) -> None:
    """The weights, the metadata, and the code that TorchScript compiles from Network decide every byte."""
    again = tmp_path / DEFAULT_ARTIFACT.name
    exported = subprocess.run(
        [sys.executable, "-c", EXPORT, str(again)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert exported.stdout.strip() == DIGEST, NOT_MOVED
    assert again.read_bytes() == DEFAULT_ARTIFACT.read_bytes()


@pytest.mark.parametrize("period", PERIODS)
def test_the_shipped_model_continues_a_wave_of_any_phase(shipped: Runtime, period: float) -> None:
    amplitude = 10.0 ** math.sin(period) * 100  # 10 to 1,000
    time_T = np.arange(64 + 100)
    wave_BT = amplitude * np.sin(PHASES_B[:, None] + math.tau * time_T / period)
    states = shipped.encode([sequence.tolist() for sequence in wave_BT[:, :64]])
    values_BS, _ = shipped.rollout(states, 100)
    error_BS = (values_BS - wave_BT[:, 64:]) / amplitude
    assert np.abs(error_BS[:, 0]).max() < 0.01, "error of the next value"
    assert np.sqrt((error_BS**2).mean()) < 0.03, "error over 100 steps"


def test_the_shipped_model_says_what_was_measured_and_nothing_about_where() -> None:
    metadata = read_artifact(DEFAULT_ARTIFACT).metadata
    assert metadata.errors["next_value_max"] < 0.01
    assert metadata.errors["rollout_100_rmse"] < 0.03
    assert str(Path.home()) not in metadata.model_dump_json()


def test_both_runtimes_give_the_same_forecast_of_the_shipped_model() -> None:
    artifact = read_artifact(DEFAULT_ARTIFACT)
    runtimes = [open_runtime(artifact, "cpu", engine).runtime for engine in ENGINES]
    for period in PERIODS:
        sequence = np.sin(math.tau * np.arange(64) / period).tolist()
        fused_S, scripted_S = (runtime.rollout(runtime.encode([sequence]), 1000)[0][0] for runtime in runtimes)
        assert abs(fused_S[0] - scripted_S[0]) <= 1e-5
        assert np.all(np.abs(fused_S - scripted_S) <= tolerance(1000))


@pytest.mark.parametrize("amplitude", [1e-3, 1.0, 1e3])
def test_the_amplitude_changes_nothing_but_the_unit(shipped: Runtime, amplitude: float) -> None:
    wave_T = np.sin(0.3 + math.tau * np.arange(64) / 20)
    np.testing.assert_allclose(
        shipped.forecast((amplitude * wave_T).tolist(), 100)[0] / amplitude,
        shipped.forecast(wave_T.tolist(), 100)[0],
        atol=1e-4,
    )
