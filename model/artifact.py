"""The artifact is one TorchScript file. It holds its metadata and golden rollouts; its sha256 is in a file beside it.

Loading TorchScript runs code from the file. The digest is therefore checked first, over the same bytes that are then
loaded. The digest file has the format of `sha256sum`: `sha256sum -c sine.pt.sha256` checks it too.

    ArtifactError
    ├── ArtifactMissing      the file or its digest does not exist or cannot be read
    ├── ArtifactForeign      the file is not TorchScript, or it is TorchScript but not an artifact of this project
    ├── ArtifactTruncated    the end of the file is missing
    ├── ArtifactDamaged      bytes have changed by accident: a checksum of the container fails
    ├── ArtifactTampered     the file is sound, but its digest is not the recorded one
    └── ArtifactUnexpected   the digest is the recorded one, but it is not among the allowed ones

The digest file tells accidents apart. It does not protect against attackers: anyone who can replace the artifact can
replace the digest beside it as well. Against them, `SINE_MODEL_SHA256` sets the allowed digests from elsewhere.
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
    """A verified artifact whose module is not loaded yet. `load_module` loads the module onto a device."""

    content: bytes
    digest: str
    """The digest is the sha256 of `content`, in hexadecimal."""

    metadata: Metadata
    golden: Golden
    intervals: Intervals | None


def digest_path(path: Path) -> Path:
    """Return the path of the digest file that belongs to the artifact at `path`."""
    return path.with_name(path.name + ".sha256")


def save_artifact(
    network: Network, metadata: Metadata, golden: Golden, path: Path, intervals: Intervals | None = None
) -> str:
    """Write the artifact and its digest file, and return the digest.

    The metadata must describe the intervals, if there are any. Each file is written to a temporary file beside its
    target and then renamed, so an interrupted save leaves the old files intact.
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
    """Read and verify an artifact without running any code from it.

    Args:
        path: the artifact.
        allowed: the digests that may be served, in lower case; None allows any digest.

    Raises:
        ArtifactError: one of its subclasses above.
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
            f"{path}: its sha256 is {digest}, but only {' or '.join(allowed)} may be served (SINE_MODEL_SHA256)"
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
            f"{path}: not an artifact of this project: {METADATA} or {GOLDEN} cannot be read, "
            f"or the intervals do not match the metadata. "
            f"`python -m training` makes an artifact."
        ) from error
    return Artifact(content, digest, metadata, golden, intervals)


def load_module(artifact: Artifact, device: torch.device) -> torch.jit.ScriptModule:
    """Load the artifact's TorchScript module onto `device`.

    This runs code from the file. Call it only with an artifact that `read_artifact` has verified.

    Raises:
        ArtifactForeign: torch cannot load the module, or its weights do not fit the architecture in the metadata.
    """
    try:
        with _torchscript_deprecation_ignored():
            module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(artifact.content), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ArtifactForeign(f"torch {torch.__version__} cannot load this TorchScript: {error}") from error
    with torch.device("meta"):  # no memory is allocated: only the shapes are compared
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
    except zlib.error as error:  # damage early in a compressed entry fails here, before its checksum is compared
        return ArtifactDamaged(f"{path}: the file is damaged: {error}")
    if broken is not None:
        return ArtifactDamaged(f"{path}: the file is damaged: the checksum of {broken} is wrong")
    return ArtifactTampered(
        f"{path}: the file is not the one whose sha256 was recorded: its own is {digest}. If you replaced it on "
        f"purpose, write the new digest to {digest_path(path).name}"
    )


@contextmanager
def _torchscript_deprecation_ignored() -> Iterator[None]:
    """Silence PyTorch's deprecation warning about TorchScript: the service has to load TorchScript.

    docs/decisions/torchscript.md gives the reasons.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        yield
