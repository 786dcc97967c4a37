"""What tells one home from another: an id in a file of it, whatever the host is called and wherever the home lies."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from nightjar.config.files import private_folder, write_private

ID_FILE = "home.id"


def home_id(home: Path) -> str:
    """The home's id; it gets one on first use. Raises OutputError."""
    file = private_folder(home) / ID_FILE
    while not (known := _read(file)):
        draft = file.with_name(f".{ID_FILE}.{secrets.token_hex(8)}")
        write_private(draft, secrets.token_hex(16))
        try:
            os.link(draft, file)  # unlike a rename this fails where another process was quicker
        except FileExistsError:
            continue
        finally:
            draft.unlink(missing_ok=True)
    return known


def home_name(home: Path) -> str:
    """The home for people: "host:/path"."""
    return f"{socket.gethostname()}:{home}"


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
