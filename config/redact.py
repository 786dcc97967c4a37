"""Takes secrets out of what is about to be written. Pure, except for the secrets that `remember` was given."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretBytes, SecretStr

HIDDEN = "***"
_SECRET_KEY = re.compile(r"token(?!i[sz])|passw|pwd|secret|api[-_]?key|authoriz|credential|cookie", re.IGNORECASE)
_PATTERNS = (
    # scheme://user:password@ ; up to the last @ of the word, since passwords are often pasted unquoted
    (re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s:@/\"'<>]*):[^\s\"'<>]*@", re.IGNORECASE), rf"\1:{HIDDEN}@"),
    # max_token=5 is a misspelt parameter, no secret
    (
        re.compile(
            r"(?<![\w-])(?!(?:max|min|num|n|new|bos|eos|pad|stop|per)[_-](?:new[_-])?token=)"
            r"([\w-]*(?:password|passwd|secret|token|api_?key)=)[^\s&\"',;)]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    # 'password': '...' in the text of a dict or of JSON
    (
        re.compile(
            r"""(["'][\w-]*(?:passw|pwd|secret|token(?!i[sz])|api_?key)[\w-]*["']\s*:\s*b?)(["']).*?\2""", re.IGNORECASE
        ),
        rf"\1\2{HIDDEN}\2",
    ),
    (re.compile(r"\b(Bearer|Basic) +[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), f"hf_{HIDDEN}"),
)
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s/?#@'\"]+)([/?#][^\s'\"]*)?", re.IGNORECASE)
_OPTION = re.compile(
    r"(-[\w-]*(?:passw|pwd|secret|token|api[-_]?key|authoriz|credential|cookie)[\w-]*|--pass|--auth)(\s+|=).+",
    re.I | re.S,
)
_INNER = re.compile(r"(-[\w-]*(?:passw|pwd|secret|token|api[-_]?key)[\w-]*(?:\s+|=))[^\s;&|\"']+", re.IGNORECASE)
"""An option in a script that is one word of the command: sh -c '...'."""
_HEADER = re.compile(r"([\w-]*(?:passw|secret|token|key|authoriz|auth|cookie)[\w-]*:\s*).+", re.IGNORECASE | re.DOTALL)
_MAX_DEPTH = 12
_remembered: set[str] = set()


def remember(secret: SecretStr | None) -> None:
    """Hides this secret from now on wherever it occurs; of a URL, the password in it."""
    if secret is None:
        return
    text = secret.get_secret_value()
    candidates = {text}
    if "://" in text:
        try:
            password = urlsplit(text).password
        except ValueError:
            password = None
        candidates = {password, unquote(password)} if password else set()
    escaped = {form[1:-1] for text in candidates for form in (repr(text), json.dumps(text))}
    _remembered.update(candidate for candidate in candidates | escaped if len(candidate) >= 4)


def redact_text(text: str) -> str:
    """The text with URL passwords, tokens and every remembered secret hidden."""
    for secret in sorted(_remembered, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_command(command: str) -> str:
    """A command line with what may be secret in it hidden: values of options, variables and headers whose name says
    so, the password of USER:PASSWORD, and of an address all but its host (chat services put a token into the path)."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = [command]
    return shlex.join(_arguments(words)).replace(f"'{HIDDEN}'", HIDDEN)


def redact_output(text: str, argv: Sequence[str]) -> str:
    """What a command printed, without what is hidden in its own arguments, which many programs repeat."""
    for word, shown in zip(argv, _arguments(argv), strict=True):
        if word != shown and len(word) >= 4:
            text = text.replace(word, shown)
    return redact_text(text)


def _arguments(words: Sequence[str]) -> list[str]:
    return [_argument(word, before) for before, word in zip(("", *words), words, strict=False)]


def _argument(word: str, before: str) -> str:
    if before.startswith("-") and "=" not in before and _OPTION.fullmatch(f"{before} {word}"):
        return HIDDEN
    if before == "-p" and not word.isdigit():
        return HIDDEN
    if before in ("-u", "--user") and ":" in word:
        return f"{word.partition(':')[0]}:{HIDDEN}"
    name, is_assignment, _ = word.partition("=")
    if is_assignment and names_secret(name):
        return f"{name}={HIDDEN}"
    word = _ADDRESS.sub(lambda found: found[1] + found[2] + ("/..." if (found[3] or "/") != "/" else ""), word)
    word = _HEADER.sub(rf"\1{HIDDEN}", word) if before in ("-H", "--header") else word
    return redact_text(_INNER.sub(rf"\1{HIDDEN}", word))


def redact(value: Any, *, secret: bool = False, depth: int = 0) -> Any:
    """Plain data without secrets: numbers, strings, lists, dicts. Under a key that names a secret only numbers stay."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, SecretStr | SecretBytes) or depth > _MAX_DEPTH:
        return HIDDEN
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, Mapping):
        return {
            redact_text(str(key)): redact(item, secret=secret or names_secret(str(key)), depth=depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | Set):
        return [redact(item, secret=secret, depth=depth + 1) for item in value]
    if secret:
        return HIDDEN
    if isinstance(value, str):
        return redact_text(value)
    return redact_text(str(value) if isinstance(value, Path | date | BaseException) else repr(value))


def names_secret(key: str) -> bool:
    """True for keys such as hf_token, password, MONGO_PASSWORD; false for tokenizer."""
    return _SECRET_KEY.search(key) is not None
