"""Files that leave something out or say it in another way: ends, templates, names, a context beyond the trained one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightjar.config.errors import ModelError, ModelFileError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.models import ModelKind
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request
from nightjar.workers.library.gguf.metadata import template_key
from nightjar.workers.library.inspect import read_facts
from tests.demo_engine import DEMO, demo_engine
from tests.gguf_files import write_llama


def opened(path: Path) -> LlamaModel:
    return LlamaModel(path, gpu_layers=0, mmap=True, mlock=False)


def test_a_file_that_names_no_end_has_none_but_control_tokens(tmp_path: Path) -> None:
    """llama.cpp then takes token 11 for the end, which is an ordinary one: here a plus sign, a comma in many."""
    model = opened(write_llama(tmp_path / "m.gguf", ends=False))
    tokenizer = model.tokenizer
    ends = [token for token in range(tokenizer.size) if tokenizer.is_end(token)]
    assert {tokenizer.written(token) for token in ends} <= {b"<|endoftext|>", b"<|im_end|>"}
    assert not tokenizer.is_end(11)
    assert (tokenizer.bos, tokenizer.bos_text, tokenizer.eos_text) == (None, "", "")
    model.close()


def test_named_ends_stay(tmp_path: Path) -> None:
    model = opened(write_llama(tmp_path / "m.gguf"))
    assert model.tokenizer.is_end(2)
    assert model.tokenizer.eos_text == "<|im_end|>"
    model.close()


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        (["tokenizer.chat_template"], "tokenizer.chat_template"),
        (["tokenizer.chat_template", "tokenizer.chat_template.tool_use"], "tokenizer.chat_template"),
        (["tokenizer.chat_template.tool_use", "tokenizer.chat_template.default"], "tokenizer.chat_template.default"),
        (["tokenizer.chat_template.rag", "tokenizer.chat_template.simple"], "tokenizer.chat_template.simple"),
        (["tokenizer.chat_template.tool_use"], "tokenizer.chat_template.tool_use"),
        (["tokenizer.chat_templates", "tokenizer.ggml.model"], None),  # the list of names is no template
    ],
)
def test_which_template_is_used(keys: list[str], key: str | None) -> None:
    assert template_key(keys) == key


def test_a_file_with_named_templates_alone_is_a_chat_model(tmp_path: Path) -> None:
    named = {"tool_use": "tools {{ messages }}", "default": "{{ messages[0].content }}!"}
    path = write_llama(tmp_path / "m.gguf", template=None, named_templates=named)
    assert read_facts(path, "m").kind is ModelKind.CHAT
    model = opened(path)
    assert model.chat_template == named["default"]
    model.close()


async def test_a_context_beyond_the_trained_one_is_refused(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf", context=512)
    with pytest.raises(ModelError, match="`context` is 513, and m was made for 512 tokens"):
        await load(path, settings=LoadSettings(context=513), gpu="none")


async def test_a_control_token_may_be_a_stop_string() -> None:
    """It has no text of its own; the end of a turn stops the reply anyway, so another token stands for it here."""
    async with demo_engine() as engine:
        tokenizer = engine.tokenizer
        start = "<|im_start|>"
        [token] = tokenizer.tokenize(start, parse_special=True)
        wanted = Parameters(temperature=0, stop=(start,), logit_bias={token: 100.0}, max_tokens=20)
        prompt = tuple(
            tokenizer.tokenize("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", parse_special=True)
        )
        reply = await engine.generate(Request(id="r", prompt=prompt, max_tokens=20, parameters=wanted, seed=1))
    assert (reply.finish_reason, reply.stop_string, reply.text) == ("stop", start, "")


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_name_that_is_not_utf8_is_refused_with_what_to_do(place: str, tmp_path: Path) -> None:
    odd = os.fsdecode(b"m\xff")
    path = tmp_path / (f"{odd}.gguf" if place == "file" else f"{odd}/m.gguf")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(DEMO.read_bytes())
    with pytest.raises(ModelFileError, match=r"m\\udcff.* is not UTF-8.*Rename") as raised:
        read_facts(path, "m")
    str(raised.value).encode()
