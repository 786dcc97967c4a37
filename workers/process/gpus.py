"""Which GPU a worker is pinned to. Nothing here touches CUDA: NVML lists the GPUs, the environment pins the child."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.config.errors import UsageError

NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU as NVML lists it. Each MIG slice counts as one."""

    index: str
    """As `nvidia-smi` numbers it; "0:1" is MIG slice 1 of GPU 0."""
    uuid: str
    name: str
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Pin:
    """Where one worker process runs. Without a card: the CPU only, or whatever llama.cpp finds (Metal, say)."""

    card: Card | None = None
    cpu_only: bool = False

    @property
    def gpu(self) -> str | None:
        """For the engine: the card's UUID, "none" for the CPU only, None if nothing was chosen."""
        if self.card is not None:
            return self.card.uuid
        return NONE if self.cpu_only else None

    def environment(self) -> dict[str, str]:
        """The environment variables that must be set before anything in the process touches CUDA."""
        if self.gpu is None:
            return {}
        return {"CUDA_VISIBLE_DEVICES": "" if self.card is None else self.card.uuid}


def list_cards() -> list[Card]:
    """The NVIDIA GPUs of this machine; none if there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    cards: list[Card] = []
    for number in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(number)
        slices = _slices(handle)
        for position, slice_handle in enumerate(slices):
            cards.append(_card(f"{number}:{position}", slice_handle))
        if not slices:
            cards.append(_card(str(number), handle))
    return cards


def choose_pins(wanted: str | None, cards: Sequence[Card]) -> list[Pin]:
    """One pin for each worker process to start.

    `wanted`: None takes every card, or whatever llama.cpp finds if there is none; "none" is the CPU; anything else is a
    comma-separated list of indices, UUIDs or beginnings of UUIDs. Raises UsageError, with the list of cards, for one
    that is not there.
    """
    if wanted is None:
        return [Pin(card=card) for card in cards] or [Pin()]
    if wanted.lower() == NONE:
        return [Pin(cpu_only=True)]
    pins = [Pin(card=_find(name.strip(), cards)) for name in wanted.split(",")]
    if len({pin.gpu for pin in pins}) < len(pins):
        raise UsageError(f"--gpu {wanted}: the same card is named twice.")
    return pins


def _find(name: str, cards: Sequence[Card]) -> Card:
    matches = [card for card in cards if name == card.index or (len(name) > 4 and card.uuid.startswith(name))]
    if len(matches) == 1:
        return matches[0]
    listing = "; ".join(f"{card.index}: {card.name}, {card.uuid}" for card in cards)
    here = f"Here are: {listing}." if cards else "No NVIDIA card is visible here (`--gpu none` uses the CPU)."
    what = "names several cards" if matches else "is not a card of this machine"
    raise UsageError(f"--gpu {name}: {what}. {here}")


def _card(index: str, handle: object) -> Card:
    import pynvml

    try:
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:
        memory = None
    return Card(index=index, uuid=_text(pynvml.nvmlDeviceGetUUID(handle)), name=_name(handle), memory_bytes=memory)


def _name(handle: object) -> str:
    import pynvml

    return _text(pynvml.nvmlDeviceGetName(handle))


def _slices(handle: object) -> list[object]:
    import pynvml

    try:
        if pynvml.nvmlDeviceGetMigMode(handle)[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return []
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:
        return []
    handles: list[object] = []
    for position in range(count):
        try:
            handles.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, position))
        except pynvml.NVMLError:  # not every position holds a slice
            continue
    return handles


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
