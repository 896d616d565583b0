"""Files and folders of object stores, such as s3://bucket/folder and gs://bucket/folder, by pyarrow's file systems.

Credentials, regions and endpoints come from where the SDK of the store looks for them: for S3, variables such as
AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL, ~/.aws, and the role of a machine or a pod.
"""

import errno
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PosixPath
from typing import Any, Self

from app.bulk.options import WrongOption

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")


def located(path: Path) -> Path:
    """Return the path of a file or folder that may be remote: one whose first part ends with a colon, such as `s3:`."""
    return RemotePath(path) if path.parts and _SCHEME.fullmatch(path.parts[0]) else path


class RemotePath(PosixPath):
    """A file or a folder of an object store.

    It has those methods of a path that a run of bulk forecasts uses. A file appears at once and as a whole, when
    `write_bytes` has sent all of it.
    """

    def __str__(self) -> str:
        """Return the URL. A path has only one slash after the scheme."""
        scheme, _, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}"

    def absolute(self) -> Self:
        """Return the path as it is: it names one place, whatever the folder of the process."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Return the path as it is: a store has no links."""
        return self

    def samefile(self, other: Any) -> bool:
        """Return whether the other path is the same."""
        return bool(self == other)

    def exists(self, **_: Any) -> bool:
        """Return whether there is a file or a folder of this name."""
        return bool(self._info().type)

    def is_dir(self, **_: Any) -> bool:
        """Return whether this is a folder: whether there are names that begin with its own and a slash."""
        info = self._info()  # which says how to install pyarrow
        from pyarrow.fs import FileType

        return bool(info.type == FileType.Directory)

    def iterdir(self) -> Generator[Self, None, None]:
        """Yield the files and folders in this folder."""
        system = self._system()
        from pyarrow.fs import FileSelector

        with self._told():
            found = system.get_file_info(FileSelector(self._key()))
        yield from (self / info.base_name for info in found)

    def open(self, mode: str = "rb", *_: Any, **__: Any) -> Any:
        """Return a file to read bytes from."""
        if mode != "rb":
            raise ValueError("a remote file is read as bytes")
        with self._told():
            return self._system().open_input_file(self._key())

    def read_bytes(self) -> bytes:
        """Return the content."""
        with self.open() as file, self._told():
            return bytes(file.read())

    def write_bytes(self, data: Any) -> int:
        """Write the whole content. Until that is done, there is no file, or the one before."""
        with self._told(), self._system().open_output_stream(self._key()) as stream:
            stream.write(data)
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        if missing_ok and not self.exists():
            return
        with self._told():
            self._system().delete_file(self._key())

    def _key(self) -> str:
        return "/".join(self.parts[1:])

    def _system(self) -> Any:
        return _file_system(*self.parts[:2])

    def _info(self) -> Any:
        with self._told():
            (info,) = self._system().get_file_info([self._key()])
        return info

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Give an error of the file system the form of the operating system's: a number, one line, and the name."""
        try:
            yield
        except OSError as error:
            why = str(error.strerror or error).partition("\n")[0]
            raise type(error)(error.errno or errno.EIO, why, str(self)) from error


@cache
def _file_system(scheme: str, bucket: str) -> Any:
    """Return the file system of a bucket. Raises WrongOption if there is none for the scheme."""
    try:
        from pyarrow.fs import FileSystem
    except ImportError:
        raise WrongOption(f"{scheme}//…: remote folders need pyarrow: pip install '.[remote]'") from None
    try:
        system, _ = FileSystem.from_uri(f"{scheme}//{bucket}")
    except ValueError as error:
        raise WrongOption(f"{scheme}//{bucket}: {str(error).partition(chr(10))[0]}") from error
    return system
