"""Memory estimates, what fits a machine, recommendations, and the smaller settings of a second try."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.config.errors import ModelFitError
from nightjar.config.load_settings import LoadSettings
from nightjar.workers.library.fit.curated import curated_list
from nightjar.workers.library.fit.estimate import (
    cells,
    compute_bytes,
    kv_bytes,
    kv_bytes_per_token,
    memory,
    memory_on_cpu,
)
from nightjar.workers.library.fit.fallback import kept_words, smaller
from nightjar.workers.library.fit.fit import Room, SpeedClass, expected_speed, fit, speed_class
from nightjar.workers.library.fit.hardware import Gpu, Machine, nvidia_gpus, room_of
from nightjar.workers.library.fit.recommend import recommend
from nightjar.workers.library.gguf.metadata import read_metadata
from nightjar.workers.library.gguf.shape import Shape, shape_of
from tests.gguf_files import write_gguf

GB = 10**9
BY_NAME = {model.name: model for model in curated_list().models}
EIGHT_B = BY_NAME["llama-3.1-8b"].shape


@pytest.mark.parametrize(
    ("values", "k", "v"),
    [
        # as many K and V heads as heads
        ({"attention.head_count": 8}, (64, 64), (64, 64)),
        # grouped heads
        ({"attention.head_count": 8, "attention.head_count_kv": 2}, (16, 16), (16, 16)),
        # heads given per layer; a layer without attention keeps nothing
        ({"attention.head_count": 8, "attention.head_count_kv": [4, 0]}, (32, 0), (32, 0)),
        # heads of their own width
        ({"attention.head_count": 8, "attention.key_length": 16, "attention.value_length": 4}, (128, 128), (32, 32)),
        # latent attention keeps K only
        ({"attention.head_count": 8, "attention.head_count_kv": 1, "attention.key_length_mla": 64}, (8, 8), (0, 0)),
        # the last layer uses the first one's
        ({"attention.head_count": 8, "attention.shared_kv_layers": 1}, (64, 0), (64, 0)),
        # every second layer is recurrent
        ({"attention.head_count": 8, "full_attention_interval": 2}, (0, 64), (0, 64)),
    ],
)
def test_kv_widths(tmp_path: Path, values: dict[str, Any], k: tuple[int, ...], v: tuple[int, ...]) -> None:
    """Elements of K and V per layer, as llama.cpp counts them."""
    keys = {"llama.block_count": 2, "llama.embedding_length": 64}
    keys |= {f"llama.{key}": value for key, value in values.items()}
    shape = shape_of(read_metadata(write_gguf(tmp_path / "m.gguf", keys)))
    assert (shape.k_widths, shape.v_widths) == (k, v)


def test_encoders_keep_no_kv(tmp_path: Path) -> None:
    """A BERT sees the whole text at once."""
    keys = {"bert.block_count": 2, "bert.embedding_length": 64, "bert.attention.head_count": 4}
    shape = shape_of(read_metadata(write_gguf(tmp_path / "m.gguf", keys, architecture="bert")))
    assert kv_bytes_per_token(shape) == 0


@pytest.mark.parametrize(
    ("architecture", "values", "sliding"),
    [
        ("gemma3", {"sliding_window": 512}, (True,) * 5 + (False,)),  # by the architecture's period
        ("cohere2moe", {"sliding_window": 512}, (False, True, True, True, False, True)),  # the first of four is dense
        ("gemma3", {}, (False,) * 6),  # no window, nothing slides
        ("llama", {"sliding_window": 512}, (False,) * 6),  # not an architecture that slides
        ("x", {"sliding_window": 512, "sliding_window_pattern": 3}, (True, True, False) * 2),  # the file's period
        ("x", {"sliding_window": 512, "sliding_window_pattern": [True, False]}, (True,) + (False,) * 5),  # its list
    ],
)
def test_sliding_layers(tmp_path: Path, architecture: str, values: dict[str, Any], sliding: tuple[bool, ...]) -> None:
    """Which layers keep a window only."""
    keys = {f"{architecture}.attention.{key}": value for key, value in values.items()}
    path = write_gguf(tmp_path / "m.gguf", {f"{architecture}.block_count": 6, **keys}, architecture=architecture)
    assert shape_of(read_metadata(path)).sliding == sliding


def test_recurrent_state_counts_per_slot(tmp_path: Path) -> None:
    """A Mamba keeps a state of fixed size for each slot, whatever the context."""
    keys = {
        "mamba.block_count": 2,
        "mamba.embedding_length": 64,
        "mamba.attention.head_count": 0,
        "mamba.ssm.state_size": 16,
        "mamba.ssm.inner_size": 128,
        "mamba.ssm.conv_kernel": 4,
    }
    shape = shape_of(read_metadata(write_gguf(tmp_path / "m.gguf", keys, architecture="mamba")))
    assert shape.state_bytes == 2 * 4 * (3 * 128 + 16 * 128)
    assert kv_bytes(shape, context=1000, slots=3, n_ubatch=512) == 3 * shape.state_bytes


def test_kv_of_a_known_model() -> None:
    """Llama 3.1 8B: 128 kB a token at f16, in steps of 256 cells; q8_0 takes 34/64 of it."""
    assert kv_bytes_per_token(EIGHT_B) == 32 * 2 * 8 * 128 * 2
    assert kv_bytes_per_token(EIGHT_B, "q8_0", "q8_0") == 32 * 2 * 8 * 128 * 34 // 32
    assert kv_bytes(EIGHT_B, context=1000, slots=2, n_ubatch=512) == 2 * 1024 * 131072
    assert [cells(tokens) for tokens in (1, 256, 257)] == [256, 256, 512]


@given(layers=st.integers(0, 40))
def test_what_leaves_the_device_goes_to_the_host(layers: int) -> None:
    """Offloading moves weights and KV without adding any; only a tied output is held twice."""
    for shape in (EIGHT_B, BY_NAME["llama-3.2-1b"].shape):
        split = memory(shape, context=4096, slots=2, n_ubatch=512, gpu_layers=layers)
        alone = memory_on_cpu(shape, context=4096, slots=2, n_ubatch=512)
        twice = shape.input_bytes if shape.tied and layers else 0
        assert split.weights + split.host_weights == alone.weights + twice
        assert split.kv + split.host_kv == alone.kv


def test_the_scratch_grows_with_what_is_widest() -> None:
    """Logits for a large vocabulary; the attention mask for a long context; scores without flash attention."""
    few = compute_bytes(EIGHT_B, context=1024, n_ubatch=512, flash_attention=True)
    assert few == 512 * (4 * 128256 + 8 * 4096)
    assert compute_bytes(EIGHT_B, context=131072, n_ubatch=512, flash_attention=True) > few
    assert compute_bytes(EIGHT_B, context=8192, n_ubatch=512, flash_attention=False) > few


@pytest.mark.parametrize(
    ("room", "layers", "context", "cache"),
    [
        (Room(host=64 * GB, gpu=24 * GB), 33, 8192, "f16"),  # all of it on the card
        (Room(host=64 * GB, gpu=7 * GB), 33, 8192, "q8_0"),  # the card, with a smaller cache
        (Room(host=64 * GB, gpu=int(6.8 * GB)), 33, 4096, "f16"),  # or with half the context
        (Room(host=64 * GB, gpu=4 * GB), 16, 8192, "f16"),  # as many layers as the card holds
        (Room(host=64 * GB), 0, 8192, "f16"),  # the CPU
        (Room(host=8 * GB), 0, 8192, "f16"),  # the CPU with fewer slots
    ],
)
def test_fitting_an_eight_billion_model(room: Room, layers: int, context: int, cache: str) -> None:
    """What is given up, and in which order; the result always fits."""
    found = fit("m", EIGHT_B, room, LoadSettings())
    assert (found.offloaded_layers, found.load.context, found.load.cache_type_k) == (layers, context, cache)
    assert found.memory.device <= 0.8 * (room.gpu or room.host)
    assert found.load.gpu_layers == (-1 if layers == 33 else layers)


def test_what_is_fixed_stays_fixed() -> None:
    """Context, slots and cache types of the registry are not made smaller; the layers give way."""
    wanted = LoadSettings(context=16384, slots=4, cache_type_k="q8_0", cache_type_v="f16")
    found = fit("m", EIGHT_B, Room(host=64 * GB, gpu=12 * GB), wanted)
    assert (found.load.context, found.load.slots, found.load.cache_type_k) == (16384, 4, "q8_0")
    assert 0 < found.offloaded_layers < 33
    assert found.notes == (f"{found.offloaded_layers} of 33 layers on the GPU",)


def test_too_large_says_the_numbers() -> None:
    """The least it takes, what there is, and what to do."""
    with pytest.raises(ModelFitError) as caught:
        fit("llama-3.1-8b", EIGHT_B, Room(host=4 * GB, gpu=2 * GB), LoadSettings())
    text = str(caught.value)
    assert all(part in text for part in ("llama-3.1-8b", "weights 4.91 GB", "3.20 GB of memory", "1.60 GB of GPU"))
    assert "nightjar model recommend" in text


def test_speed_classes() -> None:
    """Bandwidth bounds decoding: half the bandwidth, half the speed; a mixture reads its active share."""
    assert [speed_class(rate) for rate in (40, 39, 10, 2, 1.9)] == [
        SpeedClass.FAST,
        SpeedClass.FLUENT,
        SpeedClass.FLUENT,
        SpeedClass.SLOW,
        SpeedClass.CRAWL,
    ]
    on_gpu = expected_speed(EIGHT_B, Room(host=1, gpu=1, gpu_bandwidth=400e9), 33)
    half = expected_speed(EIGHT_B, Room(host=1, gpu=1, gpu_bandwidth=200e9), 33)
    assert on_gpu == pytest.approx(2 * half)
    assert expected_speed(EIGHT_B, Room(host=1), 0) < half
    sparse = Shape(**{**EIGHT_B.__dict__, "active_share": 0.1})
    assert expected_speed(sparse, Room(host=1), 0) > 4 * expected_speed(EIGHT_B, Room(host=1), 0)


@pytest.mark.parametrize(
    ("name", "file_bytes"),
    [
        # sizes of published Q4_K_M files
        ("llama-3.1-8b", 4_920_739_232),
        ("llama-3.2-3b", 2_019_377_696),
        ("llama-3.2-1b", 807_694_464),
        ("qwen2.5-7b", 4_683_074_240),
        ("mistral-7b-v0.3", 4_372_812_000),
        ("mistral-nemo-12b", 7_477_208_192),
    ],
)
def test_sizes_of_the_list_are_those_of_real_files(name: str, file_bytes: int) -> None:
    """The shapes computed for the list are within 2 % of the files people download."""
    assert BY_NAME[name].shape.weights_bytes == pytest.approx(file_bytes, rel=0.02)


def test_recommendations() -> None:
    """Only models that fit and suit the purpose, readable ones first, then the largest; embedders separately."""
    room = Room(host=32 * GB, gpu=12 * GB)
    names = [item.model.name for item in recommend(curated_list().models, room, "judge")]
    assert names[0] == "qwen2.5-14b"
    assert "smollm2-135m" not in names
    embedding = recommend(curated_list().models, Room(host=8 * GB), "embedding")
    assert embedding
    assert all(item.model.embedding_dimensions for item in embedding)
    assert not any(item.model.embedding_dimensions for item in recommend(curated_list().models, room, "chat"))
    small = recommend(curated_list().models, Room(host=2 * GB))
    assert all(item.fit.memory.total <= 1.6 * GB for item in small)
    assert recommend(curated_list().models, Room(host=10**6)) == []


def test_what_is_automatic_is_made_smaller_step_by_step() -> None:
    """Slots first, then the cache, the context last; each attempt gives up one thing more."""
    attempts = list(smaller(LoadSettings(), 8192))
    assert [(a.settings.slots, a.settings.cache_type_k, a.settings.context) for a in attempts] == [
        (1, "f16", None),
        (1, "q8_0", None),
        (1, "q8_0", 4096),
        (1, "q8_0", 2048),
        (1, "q8_0", 1024),
    ]
    assert attempts[-1].given_up == (
        "one conversation at a time",
        "a q8_0 cache instead of f16",
        "context 1,024 instead of 8,192 tokens",
    )


@pytest.mark.parametrize(
    ("settings", "given_up"),
    [
        (LoadSettings(context=8192), ["one conversation at a time", "a q8_0 cache instead of f16"]),
        (LoadSettings(context=8192, slots=8), ["a q8_0 cache instead of f16"]),
        (LoadSettings(context=8192, slots=8, cache_type_k="f16"), []),  # all of it was set
        (LoadSettings(context=8192, slots=1, reproducible=True), []),  # a q8_0 cache needs flash attention
    ],
)
def test_what_a_person_set_is_never_made_smaller(settings: LoadSettings, given_up: list[str]) -> None:
    """A context of 8,192 became 4,096, and nothing said so."""
    attempts = list(smaller(settings, 8192))
    assert [attempt.given_up[-1] for attempt in attempts] == given_up
    for attempt in attempts:
        assert attempt.settings.context == 8192
        assert settings.slots == "auto" or attempt.settings.slots == settings.slots


def test_what_was_set_is_named_where_it_does_not_fit() -> None:
    settings = LoadSettings(context=8192, slots=4, cache_type_v="f16")
    assert kept_words(settings) == " What was set is kept: context 8,192, slots 4, cache_type_v f16."
    assert kept_words(LoadSettings()) == ""


class NvmlError(Exception):
    pass


def nvml(cards: list[dict[str, Any]]) -> SimpleNamespace:
    """A driver with the given cards; a card without memory is broken."""

    def of(key: str) -> Any:
        def read(card: dict[str, Any], *_: Any) -> Any:
            if key not in card:
                raise NvmlError(f"no {key}")
            return card[key]

        return read

    return SimpleNamespace(
        NVMLError=NvmlError,
        NVML_CLOCK_MEM=2,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=lambda index: cards[index],
        nvmlDeviceGetMemoryInfo=of("memory"),
        nvmlDeviceGetUUID=of("uuid"),
        nvmlDeviceGetName=of("name"),
        nvmlDeviceGetMemoryBusWidth=of("bus"),
        nvmlDeviceGetMaxClockInfo=of("clock"),
    )


def test_gpus_by_nvml() -> None:
    """Names as text or bytes, bandwidth if the driver reports it, and a broken card that does not hide others."""
    good = {
        "memory": SimpleNamespace(total=24 * GB, free=20 * GB),
        "uuid": b"GPU-1",
        "name": "NVIDIA L4",
        "bus": 192,
        "clock": 6251,
    }
    quiet = {"memory": SimpleNamespace(total=8 * GB, free=8 * GB), "uuid": "GPU-2", "name": "Old"}
    found = nvidia_gpus(nvml([good, {"name": "broken"}, quiet]))
    assert [(gpu.index, gpu.uuid, gpu.name) for gpu in found] == [(0, "GPU-1", "NVIDIA L4"), (2, "GPU-2", "Old")]
    assert found[0].bandwidth == pytest.approx(300e9, rel=0.01)  # the L4's data sheet says 300 GB/s
    assert found[1].bandwidth is None
    assert room_of(Machine(memory=1, available=64 * GB, cores=8, gpus=found)) == Room(
        host=64 * GB, gpu=20 * GB, gpu_bandwidth=found[0].bandwidth
    )


def test_a_machine_without_a_driver() -> None:
    """Without NVML there is no GPU, and the host's memory is the room."""

    def fail() -> None:
        raise NvmlError("no driver")

    driver = nvml([])
    driver.nvmlInit = fail
    assert nvidia_gpus(driver) == ()
    assert room_of(Machine(memory=1, available=5, cores=1)) == Room(host=5)
    assert Machine(memory=1, available=5, cores=1).best_gpu is None
    assert Gpu(index=0, uuid="u", name="n", memory=1, free=1).bandwidth is None
