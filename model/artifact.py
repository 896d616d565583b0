"""The artifact is one TorchScript file. It holds its metadata and golden rollouts; its sha256 is in a file beside it.

Loading TorchScript runs code from the file. The digest is therefore checked first, over the same bytes that are then
loaded. The digest file has the format of `sha256sum`: `sha256sum -c sine.pt.sha256` checks it too. `model/digest.py`
describes it.

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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.anchored import AnchoredNetwork
from model.digest import digest_path as digest_path  # whoever knows artifacts knows their digests
from model.digest import recorded_digests, replacing, write_digest
from model.ensemble import EnsembleNetwork
from model.intervals import Intervals
from model.metadata import Golden, Metadata
from model.network import Network
from model.reproducible import reproducible

_NEEDED = "an artifact is a file with its .sha256 beside it, as `python -m training` writes both"
AnyNetwork = Network | AnchoredNetwork | EnsembleNetwork
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


def save_artifact(
    network: AnyNetwork,
    metadata: Metadata,
    golden: Golden,
    path: Path,
    intervals: Intervals | None = None,
    verify: Callable[[Artifact], object] = lambda artifact: None,
) -> str:
    """Write the artifact and its digest file, and return the digest.

    The metadata must describe the intervals, if there are any. The artifact is written aside, read back, given to
    `verify`, and put in its place last: `replacing` in `model/digest.py`. An exception leaves an old artifact intact.
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
    with replacing(path) as new:
        new.write_bytes(content)
        write_digest(new, digest)
        verify(read_artifact(new))
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
        # The digests are read twice: another program may replace the pair in between, in the order of `replacing`.
        recorded = recorded_digests(path)
        content = path.read_bytes()
        recorded |= recorded_digests(path)
    except OSError as error:
        which = error.filename if path.exists() else path  # the digest is read first
        raise ArtifactMissing(f"{which}: cannot be read: {error.strerror}; {_NEEDED}") from error
    digest = hashlib.sha256(content).hexdigest()
    if not recorded:
        raise ArtifactMissing(f"{digest_path(path)}: there is no digest in it; {_NEEDED}")
    if digest not in recorded:
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
                Intervals.from_bytes(archive.read(extra[INTERVALS]), metadata.intervals) if metadata.intervals else None
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
        why = str(error).strip().splitlines()[0]
        raise ArtifactForeign(
            f"torch {torch.__version__} cannot load this TorchScript: {why}{other_torch(artifact.metadata)}"
        ) from error
    if _shapes(module.state_dict()) != _shapes(_described(artifact)):
        raise _not_described(artifact)
    return module.eval()


def other_torch(metadata: Metadata) -> str:
    """Return what to do about an artifact that another version of torch exported; nothing if it was this one."""
    then, now = (version.partition("+")[0] for version in (metadata.torch_version, torch.__version__))
    if then == now:  # builds of one version, like +cpu and +cu130, do not differ in what they load
        return ""
    return (
        f". Torch {then} exported this artifact, and torch {now} is installed. "
        "`python -m training export ARTIFACT` exports the same weights again"
    )


def read_weights(artifact: Artifact) -> dict[str, Tensor]:
    """Return the network's weights by name. They are read as numbers: no version of torch has to load the file.

    Raises:
        ArtifactForeign: the weights in the file are not those of the network in the metadata.
    """
    weights = {}
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        # TorchScript writes the tensors one after the other into the entries data/0, data/1 and so on.
        entries = {name.partition("/")[2]: name for name in archive.namelist()}
        for number, (name, like) in enumerate(_described(artifact).items()):
            try:
                number_type = "<f8" if like.dtype == torch.float64 else "<f4"
                values = np.frombuffer(archive.read(entries[f"data/{number}"]), number_type)
                weights[name] = torch.from_numpy(values.copy()).view(like.shape)
            except (KeyError, ValueError, RuntimeError) as error:
                raise _not_described(artifact) from error
    return weights


def network_of(metadata: Metadata) -> AnyNetwork:
    """Return the network that the metadata describe, with random weights."""
    kind: type[AnyNetwork] = AnchoredNetwork if metadata.architecture.inputs == "anchors" else Network
    if metadata.architecture.members:
        kind = EnsembleNetwork
    return kind(metadata.architecture, metadata.normalisation, metadata.offset, metadata.scale)


def _described(artifact: Artifact) -> Mapping[str, Tensor]:
    """Return the state of the network in the metadata: names and shapes without memory."""
    with torch.device("meta"):
        return network_of(artifact.metadata).state_dict()


def _not_described(artifact: Artifact) -> ArtifactForeign:
    return ArtifactForeign(f"the network in the file is not the one of its metadata: {artifact.metadata.architecture}")


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
