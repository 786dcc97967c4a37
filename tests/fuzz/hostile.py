"""Hostile GGUF files: the demo model with numbers, names and bytes of its head replaced. Drawn from a seed."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "config" / "models" / "nightjar-demo.gguf"
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
NUMBERS = (0, 1, 2, 3, 7, 31, 127, 255, 1023, 4096, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
WORDS = (b"", b"\x00", b"\xff\xfe", b"../../../etc/passwd", b"%s%n%s%n", b"{{ 1 // 0 }}", b"\xed\xa0\x80", b"A" * 40)


@dataclass(frozen=True)
class Field:
    """A place in the head: a number of `width` bytes, or text of that many."""

    name: str
    at: int
    width: int
    text: bool = False


def fields_of(data: bytes) -> list[Field]:
    """Every number and text of the head, lengths, types, shapes and offsets among them."""
    walk = _Walk(data)
    walk.number("version", 4, at=4)
    walk.at = 8
    tensors, keys = walk.number("tensors", 8), walk.number("keys", 8)
    for _ in range(keys):
        key = walk.string("key").decode()
        walk.value(key, walk.number(f"{key}.type", 4))
    for _ in range(tensors):
        name = walk.string("tensor").decode()
        for n in range(walk.number(f"{name}.dimensions", 4)):
            walk.number(f"{name}.shape{n}", 8)
        walk.number(f"{name}.type", 4)
        walk.number(f"{name}.offset", 8)
    return walk.found


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.found: list[Field] = []

    def number(self, name: str, width: int, *, at: int | None = None) -> int:
        if at is not None:
            self.at = at
        self.found.append(Field(name, self.at, width))
        value = int.from_bytes(self.data[self.at : self.at + width], "little")
        self.at += width
        return value

    def string(self, name: str) -> bytes:
        length = self.number(f"{name}.length", 8)
        self.found.append(Field(name, self.at, length, text=True))
        self.at += length
        return self.data[self.at - length : self.at]

    def value(self, key: str, kind: int) -> None:
        if kind == STRING:
            self.string(key)
        elif kind == ARRAY:
            inner, count = self.number(f"{key}.inner", 4), self.number(f"{key}.count", 8)
            for n in range(count):
                if n < 4:  # one of many is as good as another
                    self.value(key, inner)
                elif inner == STRING:
                    self.at += 8 + int.from_bytes(self.data[self.at : self.at + 8], "little")
                else:
                    self.at += SCALARS[inner]
        else:
            self.number(key, SCALARS[kind])


def mutate(data: bytes, fields: list[Field], seed: int) -> tuple[bytes, list[str]]:
    """Makes one to three changes; returns the file and what was changed."""
    chance = random.Random(seed)
    changed, said = bytearray(data), []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        field = chance.choice(fields)
        if field.text:
            new = (chance.choice(WORDS) * field.width)[: field.width].ljust(field.width, b"?")
        else:
            number = chance.choice(NUMBERS) if chance.random() < 0.7 else chance.getrandbits(8 * field.width)
            if chance.random() < 0.3:
                number = int.from_bytes(changed[field.at : field.at + field.width], "little") + chance.choice(
                    (-1, 1, 32)
                )
            new = struct.pack("<Q", number % 2**64)[: field.width]
        changed[field.at : field.at + field.width] = new
        said.append(f"{field.name} = {new[:16].hex()}")
    if chance.random() < 0.1:
        del changed[chance.randrange(len(changed)) :]
        said.append(f"cut to {len(changed)}")
    return bytes(changed), said


def killer(folder: Path) -> Path:
    """A model that passes every check of its metadata and aborts llama.cpp: two tokens of one text."""
    data = DEMO.read_bytes()
    field = [f for f in fields_of(data) if f.name == "tokenizer.ggml.tokens" and f.width == 1][-1]
    file = folder / "killer.gguf"
    file.write_bytes(data[: field.at] + b"?" + data[field.at + 1 :])
    return file
