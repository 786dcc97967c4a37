"""Which card a worker is pinned to. Nothing here touches CUDA: NVML lists the cards, the environment pins the child."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.config.errors import UsageError

NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU as NVML lists it. MIG slices are cards of their own."""

    index: str
    """As `nvidia-smi` numbers it; "0:1" is MIG slice 1 of card 0."""
    uuid: str
    name: str
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Pin:
    """Where one worker process runs. Without a card: the CPU alone, or whatever llama.cpp finds (Metal, say)."""

    card: Card | None = None
    cpu_only: bool = False

    @property
    def gpu(self) -> str | None:
        """For the engine: the card's UUID, "none" for the CPU alone, None where nothing was chosen."""
        if self.card is not None:
            return self.card.uuid
        return NONE if self.cpu_only else None

    def environment(self) -> dict[str, str]:
        """What the process must find in its environment before anything touches CUDA."""
        if self.gpu is None:
            return {}
        return {"CUDA_VISIBLE_DEVICES": "" if self.card is None else self.card.uuid}


def list_cards() -> list[Card]:
    """The NVIDIA cards of this machine; none where there is no driver."""
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

    `wanted`: None takes every card, or what llama.cpp finds where there is none; "none" the CPU; else a comma-separated
    list of indices, UUIDs or beginnings of UUIDs. Raises UsageError, with the list, for a card that is not there.
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
    found = [card for card in cards if name == card.index or (len(name) > 4 and card.uuid.startswith(name))]
    if len(found) == 1:
        return found[0]
    listing = "; ".join(f"{card.index}: {card.name}, {card.uuid}" for card in cards)
    here = f"Here are: {listing}." if cards else "No NVIDIA card is visible here (`--gpu none` uses the CPU)."
    what = "names several cards" if found else "is not a card of this machine"
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
    found: list[object] = []
    for position in range(count):
        try:
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, position))
        except pynvml.NVMLError:  # slots of slices need not all be filled
            continue
    return found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
