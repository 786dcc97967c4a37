"""An engine that replies what a script says: the real scheduler, thread and text handling, no model.

Tokens are bytes (0-255) and a few control tokens; the template is ChatML. Its cache checks that every position is
written once, in order, and read only where it was written, so that a scheduler's mistake shows at once.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nightjar.config.errors import EngineError
from nightjar.jobs.models import FileFacts, LoadFacts, ModelFacts, ModelKind
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.backend import Drawn
from nightjar.workers.engine.engine import PATIENCE_S, BatchEngine
from nightjar.workers.engine.fake_scores import ScriptedScoreDevice
from nightjar.workers.engine.request import Request, Tokenizer, TokenLogprob
from nightjar.workers.engine.slots import Copy, DeviceLimits, Move, Piece
from nightjar.workers.engine.thread_tuner import ThreadTuner

BOS, TURN_START, TURN_END = 256, 257, 258
CONTROLS = {BOS: "<s>", TURN_START: "<|im_start|>", TURN_END: "<|im_end|>"}
VOCABULARY = 259
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

Script = Callable[[str, int], str]
"""(prompt text with control tokens written out, seed) -> the reply."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong, counted in decode calls from 1."""

    raise_at: int | None = None
    """This decode raises EngineError."""
    hang_at: int | None = None
    """This decode hangs until aborted."""
    heeds_abort: bool = True
    """Whether a hanging decode can be aborted; if not, its thread hangs forever."""
    abort_at: int | None = None
    """This decode ends the process as a crash in native code would (SIGABRT)."""


class ByteTokenizer:
    """One token a byte; control tokens as in `CONTROLS`."""

    bos: int | None = None
    special_texts = tuple(CONTROLS.values())

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        ids: list[int] = []
        while text:
            at, token = min(
                ((at, token) for token, mark in CONTROLS.items() if parse_special and (at := text.find(mark)) >= 0),
                default=(len(text), -1),
            )
            ids.extend(text[:at].encode("utf-8", "surrogatepass"))
            if token >= 0:
                ids.append(token)
            text = text[at + len(CONTROLS.get(token, "")) :]
        return ids

    def detokenize(self, ids: Sequence[int]) -> str:
        return bytes(token for token in ids if token < 256).decode("utf-8", "replace")

    def written(self, ids: Sequence[int]) -> str:
        """Like `detokenize`, with control tokens written out."""
        return b"".join(CONTROLS[i].encode() if i in CONTROLS else bytes([i]) for i in ids).decode("utf-8", "replace")


class ScriptedSampler:
    """`forced`: so many tokens come with each one that is drawn; the reply is then complete with its last."""

    slow = False

    def __init__(self, reply: bytes, closed: Callable[[], None], *, with_logprobs: bool, forced: int) -> None:
        self._ids = [*reply, TURN_END]
        self._at = 0
        self._with_logprobs = with_logprobs
        self._forced = forced
        self._closed = closed
        self.guided = forced > 0
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def draw(self, row: int) -> Drawn:
        token: int = self._ids[min(self._at, len(self._ids) - 1)]
        self._at += 1
        if not self._with_logprobs:
            forced = tuple(self._ids[self._at : min(self._at + self._forced, len(self._ids) - 1)])
            self._at += len(forced)
            done = self._forced and self._ids[self._at :] == [TURN_END]
            return Drawn(token, forced=forced, ends="stop" if done else None)
        half = math.log(0.5)
        return Drawn(token, TokenLogprob(token=token, logprob=half, top=((token, half),)))

    def close(self) -> None:
        self._closed()


class ScriptedBackend:
    """The fake device. `cells` mirrors what llama.cpp would hold; every rule broken is an AssertionError."""

    def __init__(self, script: Script, limits: DeviceLimits, *, token_delay_s: float, faults: Faults) -> None:
        self.limits = limits
        self.tokenizer: Tokenizer = ByteTokenizer()
        self.cells: list[list[int]] = [[] for _ in range(limits.slots)]
        self.vocabulary = max(CONTROLS) + 1
        self.decodes = 0
        self.threads: list[int] = []
        """What `set_threads` was told."""
        self.forced = 0
        """Tokens that come with each drawn one, as a grammar forces them."""
        self.open_samplers = 0
        self.score_room = 1024
        """Cells for texts to score beside those of the longest."""
        self.score_devices: list[ScriptedScoreDevice] = []
        """Those that were made."""
        self._script = script
        self._token_delay_s = token_delay_s
        self._faults = faults
        self._aborted = False

    def move(self, moves: Sequence[Move]) -> None:
        for move in moves:
            if isinstance(move, Copy):
                assert self.limits.can_copy
                assert move.source != move.target
                assert move.keep <= len(self.cells[move.source])
                self.cells[move.target] = self.cells[move.source][: move.keep]
            else:
                assert move.keep == 0 or self.limits.can_trim
                del self.cells[move.slot][move.keep :]

    def decode(self, pieces: Sequence[Piece]) -> list[int]:
        self.decodes += 1
        self._misbehave()
        assert 0 < sum(len(piece.ids) for piece in pieces) <= self.limits.n_batch
        slots = [piece.slot for piece in pieces]
        assert slots == sorted(set(slots)), "a slot twice, or out of order"
        for piece in pieces:
            cells = self.cells[piece.slot]
            assert len(cells) == piece.start, "a gap, or a position written twice"
            cells.extend(piece.ids)
            assert len(cells) <= self.limits.context
            reached = min(len(cells), len(piece.work.prompt))
            assert tuple(cells[:reached]) == piece.work.prompt[:reached], "another prompt's cells"
        time.sleep(self._token_delay_s * sum(len(piece.ids) for piece in pieces))
        return list(range(len(pieces)))

    def clear(self) -> None:
        self.cells = [[] for _ in range(self.limits.slots)]
        self._aborted = False

    def set_threads(self, count: int) -> None:
        self.threads.append(count)

    def abort(self) -> None:
        self._aborted = True

    def ready(self, parameters: Parameters) -> bool:
        return True

    def prepare(self, parameters: Parameters) -> None: ...

    def sampler(self, request: Request) -> ScriptedSampler:
        tokenizer = ByteTokenizer()
        reply = self._script(tokenizer.written(request.prompt), request.seed)
        self.open_samplers += 1
        return ScriptedSampler(
            reply.encode("utf-8", "surrogatepass"),
            self._sampler_closed,
            with_logprobs=request.parameters.top_logprobs > 0,
            forced=self.forced,
        )

    def pieces(self, request: Request) -> Callable[[int], bytes]:
        return lambda token: bytes([token]) if token < 256 else b""

    def is_end(self, token: int) -> bool:
        return token == TURN_END

    def whole(self, text: str) -> list[int]:
        return self.tokenizer.tokenize(text, parse_special=False)

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """Letter counts, as unit vectors: alike texts get alike vectors."""
        return [_unit([float(list(ids).count(token)) for token in range(256)]) for ids in texts]

    def score_device(self) -> ScriptedScoreDevice:
        cells = self.limits.context + self.score_room
        self.score_devices.append(ScriptedScoreDevice(self.vocabulary, cells, shares=self.limits.can_trim))
        return self.score_devices[-1]

    def close(self) -> None:
        assert self.open_samplers == 0, "a sampler was not closed"
        assert all(device.closed for device in self.score_devices), "a context for texts was not closed"

    def _sampler_closed(self) -> None:
        self.open_samplers -= 1

    def _misbehave(self) -> None:
        faults = self._faults
        if self.decodes == faults.raise_at:
            raise EngineError("The scripted backend failed, as it was told to.")
        if self.decodes == faults.abort_at:
            os.abort()
        while self.decodes == faults.hang_at:
            if self._aborted and faults.heeds_abort:
                raise EngineError("The scripted backend hung, as it was told to, and was aborted.")
            time.sleep(0.01)


class ScriptedEngine(BatchEngine):
    """An `Engine` for tests: `script(prompt, seed)` gives the replies."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        name: str = "scripted",
        slots: int = 4,
        context: int = 4096,
        n_batch: int = 512,
        token_delay_s: float = 0.0,
        faults: Faults | None = None,
        patience_s: float = PATIENCE_S,
        kind: ModelKind = ModelKind.CHAT,
        digest: str = "0" * 64,
        tuner: ThreadTuner | None = None,
    ) -> None:
        limits = DeviceLimits(slots=slots, context=context, n_batch=n_batch)
        self.backend = ScriptedBackend(script or echo, limits, token_delay_s=token_delay_s, faults=faults or Faults())
        super().__init__(
            self.backend,
            facts=scripted_facts(name, context=context, kind=kind, digest=digest),
            load=_load_facts(limits),
            chat_template=CHAT_TEMPLATE if kind is ModelKind.CHAT else None,
            bos_text=CONTROLS[BOS],
            eos_text=CONTROLS[TURN_END],
            patience_s=patience_s,
            tuner=tuner,
        )


def echo(prompt: str, seed: int) -> str:
    """The default script: a short sentence that differs by seed and by prompt."""
    words = random.Random(f"{seed}:{prompt}").sample("amber birch cedar dusk ember fern gale heron".split(), 4)  # noqa: S311
    return f"You wrote {len(prompt)} characters: {' '.join(words)}."


def scripted_facts(name: str, *, context: int, kind: ModelKind, digest: str) -> ModelFacts:
    file = FileFacts(
        file_name=f"{name}.gguf",
        file_bytes=0,
        architecture="scripted",
        parameters=0,
        quantisation="none",
        vocabulary=VOCABULARY,
        context_train=context,
        layers=0,
    )
    return ModelFacts(name=name, digest=digest, kind=kind, file=file)


def _load_facts(limits: DeviceLimits) -> LoadFacts:
    return LoadFacts(
        device="scripted",
        offloaded_layers=0,
        context=limits.context,
        slots=limits.slots,
        n_batch=limits.n_batch,
        n_ubatch=limits.n_batch,
        threads=1,
        flash_attention=False,
        cache_type_k="none",
        cache_type_v="none",
        llama_cpp_build="none",
        llama_cpp_python="none",
        load_s=0.0,
    )


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]
