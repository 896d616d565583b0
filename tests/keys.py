"""A key for what is the admin's."""

from pathlib import Path

from app.keys import line, new_key

_KEY = new_key()

AS_ADMIN = {"authorization": f"Bearer {_KEY}"}
"""The headers of whoever has the key."""


def admin_keys(folder: Path) -> Path:
    """A file with that key, in `folder`, as the setting of that name wants it."""
    path = folder / "admin.keys"
    path.write_text(f"{line('admin', _KEY)}\n")
    return path
