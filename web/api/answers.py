"""How the API answers: plain JSON with a tag, so that what has not changed is not sent again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import TypeAdapter

_ANY = TypeAdapter(Any)


def json_answer(request: Request, value: object, *, status: int = 200) -> Response:
    """The value as JSON; 304 where the client has it already."""
    data = _ANY.dump_python(value, mode="json")
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    known = request.method == "GET" and request.headers.get("if-none-match") == etag
    return Response(
        b"" if known else body,
        status_code=304 if known else status,
        media_type="application/json",
        headers={"etag": etag, "cache-control": "private, no-cache"},
    )
