"""A key with the admin's role."""

from pathlib import Path

from app.keys import line, new_key

_KEY = new_key()

AS_ADMIN = {"authorization": f"Bearer {_KEY}"}
"""The headers of a client that has the admin's key."""


def admin_keys(folder: Path) -> Path:
    """Write a file with the admin's key in `folder`, and return its path, the value of the setting `admin_keys`."""
    path = folder / "admin.keys"
    path.write_text(f"{line('admin', _KEY)}\n")
    return path
