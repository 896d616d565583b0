"""The artifact: one TorchScript file with its metadata and golden rollouts inside and its sha256 beside it.

Loading TorchScript runs code from the file, so the digest is checked first, over the same bytes that are then loaded.
The digest file has the format of `sha256sum`: `sha256sum -c sine.pt.sha256` checks it too.

    ArtifactError
    ├── ArtifactMissing      no such file, no digest beside it, or neither can be read
    ├── ArtifactForeign      something else: not TorchScript, or TorchScript that is not one of our artifacts
    ├── ArtifactTruncated    the end is missing
    ├── ArtifactDamaged      bytes inside have changed by accident: a checksum of the container fails
    ├── ArtifactTampered     a sound file, but not the one whose digest was recorded
    └── ArtifactUnexpected   the one whose digest was recorded, but none of those that may be served

Whoever can replace the file can replace the digest beside it as well: that tells accidents apart. Against people, the
digests that may be served come from elsewhere (`SINE_MODEL_SHA256`).
"""

import hashlib
import io
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.intervals import Intervals
from model.metadata import Golden, Metadata
from model.network import Network
from model.reproducible import reproducible

METADATA, GOLDEN, INTERVALS = "metadata.json", "golden.json", "intervals.npy"


class ArtifactError(Exception):
    """The artifact cannot be served; the message says why."""


class ArtifactMissing(ArtifactError): ...


class ArtifactForeign(ArtifactError): ...


class ArtifactTruncated(ArtifactError): ...


class ArtifactDamaged(ArtifactError): ...


class ArtifactTampered(ArtifactError): ...


class ArtifactUnexpected(ArtifactError): ...


@dataclass(frozen=True)
class Artifact:
    """A verified artifact, its module not yet loaded: `load_module` does that for a device."""

    content: bytes
    digest: str
    """sha256 of `content`, in hexadecimal."""

    metadata: Metadata
    golden: Golden
    intervals: Intervals | None


def digest_path(path: Path) -> Path:
    """Where the digest of the artifact at `path` stands."""
    return path.with_name(path.name + ".sha256")


def save_artifact(
    network: Network, metadata: Metadata, golden: Golden, path: Path, intervals: Intervals | None = None
) -> str:
    """Write the artifact and its digest, and return the digest. The metadata describe the intervals, if there are any.

    Both are written beside their place and moved into it, so that an interrupted save leaves the old ones alone.
    """
    exported = io.BytesIO()
    with _torchscript_deprecation_ignored():
        script = torch.jit.script(network.cpu().eval())
        extra: dict[str, str | bytes] = {METADATA: metadata.model_dump_json(indent=1), GOLDEN: golden.model_dump_json()}
        if intervals is not None:
            extra[INTERVALS] = intervals.to_bytes()
        torch.jit.save(script, exported, _extra_files=extra)
    content = reproducible(exported.getvalue())
    digest = hashlib.sha256(content).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, data in ((path, content), (digest_path(path), f"{digest}  {path.name}\n".encode())):
        partial = target.with_name(target.name + ".partial")
        partial.write_bytes(data)
        partial.replace(target)
    return digest


def read_artifact(path: Path, allowed: Collection[str] | None = None) -> Artifact:
    """Read and verify an artifact without running anything from it.

    `allowed` are the digests of those that may be served, in lower case; None for any.

    Raises:
        ArtifactError: one of the kinds above.
    """
    try:
        content = path.read_bytes()
        recorded = digest_path(path).read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactMissing(f"{path}: the artifact or its .sha256 cannot be read: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if not recorded or recorded[0].lower() != digest:
        raise _why_the_digest_differs(path, content, digest)
    if allowed is not None and digest not in allowed:
        raise ArtifactUnexpected(
            f"{path}: its sha256 is {digest}, and what may be served is {' or '.join(allowed)} (SINE_MODEL_SHA256)"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            extra = {Path(name).name: name for name in archive.namelist() if Path(name).parent.name == "extra"}
            metadata = Metadata.model_validate_json(archive.read(extra[METADATA]))
            golden = Golden.model_validate_json(archive.read(extra[GOLDEN]))
            intervals = (
                Intervals.from_bytes(archive.read(extra[INTERVALS]), metadata.intervals.contexts)
                if metadata.intervals
                else None
            )
    except (zipfile.BadZipFile, KeyError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise ArtifactForeign(
            f"{path}: not an artifact of this project: it has no readable {METADATA} and {GOLDEN}, "
            f"or not the intervals that it speaks of. "
            f"`python -m training` makes one."
        ) from error
    return Artifact(content, digest, metadata, golden, intervals)


def load_module(artifact: Artifact, device: torch.device) -> torch.jit.ScriptModule:
    """The artifact's TorchScript module, on `device`. This runs code from the file: only after `read_artifact`.

    Raises:
        ArtifactForeign: torch cannot load it, or its weights are not those of the architecture in its metadata.
    """
    try:
        with _torchscript_deprecation_ignored():
            module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(artifact.content), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ArtifactForeign(f"torch {torch.__version__} cannot load this TorchScript: {error}") from error
    with torch.device("meta"):  # shapes alone
        described = Network(artifact.metadata.architecture).state_dict()
    if _shapes(module.state_dict()) != _shapes(described):
        raise ArtifactForeign(
            f"the network in the file is not the one of its metadata: {artifact.metadata.architecture}"
        )
    return module.eval()


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}


def _why_the_digest_differs(path: Path, content: bytes, digest: str) -> ArtifactError:
    if not content.startswith(b"PK\x03\x04"):
        return ArtifactForeign(f"{path}: not a TorchScript file")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            broken = archive.testzip()
    except zipfile.BadZipFile as error:
        if not content[-22:].startswith(b"PK\x05\x06"):  # the record of 22 bytes that ends every zip file
            return ArtifactTruncated(f"{path}: the file is truncated: its end is missing")
        return ArtifactDamaged(f"{path}: the file is damaged: {error}")
    except zlib.error as error:  # a compressed entry that is broken early ends so, before its checksum is compared
        return ArtifactDamaged(f"{path}: the file is damaged: {error}")
    if broken is not None:
        return ArtifactDamaged(f"{path}: the file is damaged: the checksum of {broken} is wrong")
    return ArtifactTampered(
        f"{path}: the file is not the one whose sha256 was recorded: its own is {digest}. If you replaced it on "
        f"purpose, write the new digest to {digest_path(path).name}"
    )


@contextmanager
def _torchscript_deprecation_ignored() -> Iterator[None]:
    """TorchScript is what the service is asked to load; PyTorch's advice to move on is for another day.

    See docs/decisions/torchscript.md.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        yield
