"""A local Ollama store: names, files, parameters, and its templates in Jinja."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import ModelFileError, UnknownNameError
from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.jobs.models import ModelKind
from nightjar.jobs.parameters import Parameters
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.workers.conversation.local import chat_template, conversation_on
from nightjar.workers.conversation.plan import plan_prompt
from nightjar.workers.conversation.template_render import SandboxRenderer
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.engine.fake import ScriptedEngine
from nightjar.workers.library.editing import add_entry
from nightjar.workers.library.find import find_model
from nightjar.workers.library.go_template import Untranslatable, to_jinja
from nightjar.workers.library.inventory import ModelState, inventory
from nightjar.workers.library.ollama import find_ollama, ollama_names
from nightjar.workers.library.verify import verify
from tests.gguf_files import write_gguf

CHATML = """{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{- if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""
BY_MESSAGE = """{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if or (eq .Role "user") (eq .Role "system") }}<|start|>{{ .Role }}<|sep|>{{ .Content }}<|end|>
{{- if $last }}<|start|>assistant<|sep|>{{ end }}
{{- else if eq .Role "assistant" }}<|start|>assistant<|sep|>
{{- if .ToolCalls }}{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ else }}{{ .Content }}{{ end }}
{{- if not $last }}<|end|>{{ end }}
{{- end }}
{{- end }}"""
PLAIN = "{{ if .System }}{{ .System }}\n\n{{ end }}Question: {{ .Prompt }}\nAnswer:"
"""Before responses were part of templates: Ollama puts them at the end."""
SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [
    {"role": "user", "content": 'One {{ "}}" }}?'},
    {"role": "assistant", "content": "1"},
    {"role": "user", "content": "Two?"},
]


@pytest.mark.parametrize(
    ("template", "messages", "text"),
    [
        (CHATML, TURNS[:1], '<|im_start|>user\nOne {{ "}}" }}?<|im_end|>\n<|im_start|>assistant\n'),
        (
            CHATML,
            [SYSTEM, *TURNS],
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            '<|im_start|>user\nOne {{ "}}" }}?<|im_end|>\n<|im_start|>assistant\n1<|im_end|>\n'
            "<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            BY_MESSAGE,
            [SYSTEM, *TURNS],
            '<|start|>system<|sep|>Be brief.<|end|><|start|>user<|sep|>One {{ "}}" }}?<|end|>'
            "<|start|>assistant<|sep|>1<|end|><|start|>user<|sep|>Two?<|end|><|start|>assistant<|sep|>",
        ),
        (PLAIN, [SYSTEM, TURNS[2]], "Be brief.\n\nQuestion: Two?\nAnswer:"),
        (PLAIN, TURNS, 'Question: One {{ "}}" }}?\nAnswer:1Question: Two?\nAnswer:'),
        # whitespace is trimmed where a dash stands, and only there
        ("a {{- if .Prompt }} b {{ .Prompt }} {{- end }} c", TURNS[2:], "a b Two? c"),
        # a comment, a literal in back quotes, comparisons, a variable that changes
        (
            "{{/* note */}}{{ $n := 0 }}{{ range .Messages }}{{ $n = len .Content }}{{ end }}"
            "{{ if and (gt $n 3) (ne $n 5) }}{{ `long` }}{{ else }}short{{ end }}",
            TURNS[2:],
            "long",
        ),
    ],
)
def test_templates_render_as_ollama_renders_them(template: str, messages: list[dict[str, str]], text: str) -> None:
    """Through Nightjar's own sandbox; what a user types is never taken for template text."""
    assert ChatTemplate(to_jinja(template), date="2026-01-01").render(messages) == text


@pytest.mark.parametrize("template", [CHATML, BY_MESSAGE, "{{ printf `%q` .Prompt }}"])  # the last has no translation
@pytest.mark.parametrize("own", [None, "Be brief."])
def test_a_system_text_of_the_store_is_the_default(
    template: str, own: str | None, project: Settings, store: Path, tmp_path: Path
) -> None:
    """It is used if the conversation has none, whichever template the model is used with."""
    name = "registry.ollama.ai/library/story/latest"
    put(store, name, model=gguf(tmp_path), template=template, system='Speak "softly" 🦉.')
    engine = ScriptedEngine(lambda *_: "")
    sequence = Sequence(id="s", turns=(TurnSpec(prompt="Two?"),), system=own)
    entry = find_model("story", project)
    conversation = conversation_on(engine, sequence, chat_template(engine, entry, "2026-01-01", SandboxRenderer()))
    text = plan_prompt(conversation, 0, (), Parameters()).text
    assert ((own or 'Speak "softly" 🦉.') in text, "softly" in text) == (True, own is None)


def test_characters_beyond_the_first_65536() -> None:
    template = ChatTemplate(to_jinja("{{ `🦉` }} 🦉 {{ .Prompt }}"), date="2026-01-01")
    assert template.render([{"role": "user", "content": "🌒"}]) == "🦉 🦉 🌒"


@pytest.mark.parametrize(
    "template",
    [
        "{{ template `other` . }}",  # another template
        "{{ if .Prompt }}",  # no end
        "{{ end }}",
        "{{ .Prompt | printf `%q` }}",  # a function without counterpart
        "{{ .A.B.C }}",
        '{{ "\\x41" }}',  # an escape of Go's own
        "{{ range .Messages }}{{ else with . }}{{ end }}",
    ],
)
def test_what_has_no_translation_is_refused_as_a_whole(template: str) -> None:
    """A template is never translated in part."""
    with pytest.raises(Untranslatable):
        to_jinja(template)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "ollama" / "blobs").mkdir(parents=True)
    return tmp_path / "ollama"


@pytest.fixture
def project(tmp_path: Path, store: Path) -> Settings:
    (store / "manifests").mkdir()
    (tmp_path / "models.toml").touch()
    return Settings.model_validate(
        {
            "home": tmp_path / "home",
            "models_dir": tmp_path / "models",
            "models_file": tmp_path / "models.toml",
            "ollama_models": store,
            "model": LoadSettings(slots=2),
        }
    )


def put(store: Path, name: str, **layers: Any) -> None:
    """A model in the store as Ollama keeps it: a manifest, and a blob for each layer."""
    described = []
    for kind, content in layers.items():
        data = content if isinstance(content, bytes) else content.encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        (store / "blobs" / digest.replace(":", "-")).write_bytes(data)
        media = f"application/vnd.ollama.image.{kind}"
        described.append({"mediaType": media, "digest": digest, "size": len(data)})
    manifest = store / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": described}))


def gguf(folder: Path) -> bytes:
    return write_gguf(folder / "m.gguf", {"llama.context_length": 2048}).read_bytes()


def test_a_model_of_the_store_is_used_in_place(project: Settings, store: Path, tmp_path: Path) -> None:
    """By its name, with its template, parameters and context; parameters unknown to Nightjar are left out."""
    options = {
        "temperature": 0.3,
        "stop": ["<|im_end|>"],
        "num_ctx": 4096,
        "num_predict": -1,
        "mirostat": 2,
        "top_p": 9,
    }
    name = "registry.ollama.ai/library/story/1b"
    put(store, name, model=gguf(tmp_path), template=CHATML, params=json.dumps(options), system="Tell tales.")
    entry = find_model("story:1b", project)
    assert entry.path.parent == store / "blobs"
    assert entry.parameters == {"temperature": 0.3, "stop": ["<|im_end|>"]}
    assert (entry.load.context, entry.load.slots) == (4096, 2)
    assert entry.template is not None
    assert entry.system == "Tell tales."
    assert find_model("ollama:story:1b", project) == entry
    [held] = inventory(project)
    assert (held.name, held.source, held.state, held.kind) == ("story:1b", "ollama story:1b", "ready", ModelKind.CHAT)
    assert not held.registered
    [verdict] = verify(entry, project)
    assert verdict.expected == verdict.found
    entry.path.write_bytes(entry.path.read_bytes()[:-1] + b"!")
    assert verify(entry, project)[0].wrong


def test_a_registry_entry_goes_before_the_store(project: Settings, store: Path, tmp_path: Path) -> None:
    """With its own settings, parameters and template; the store's model is not listed twice."""
    put(store, "registry.ollama.ai/library/story/latest", model=gguf(tmp_path), template=CHATML, params='{"top_k": 9}')
    load = {"context": 512}
    keys = {"ollama": "story", "template": "{{ messages }}", "load": load, "parameters": {"top_p": 0.5}}
    add_entry(project.models_file, "mine", keys)
    entry = find_model("mine", project)
    assert (entry.load.context, entry.template) == (512, "{{ messages }}")
    assert entry.parameters == {"top_k": 9, "top_p": 0.5}
    assert [held.name for held in inventory(project)] == ["mine"]


def test_names_as_ollama_shows_them(project: Settings, store: Path) -> None:
    """The host and the library are left out, other hosts and owners are not."""
    for name in ("registry.ollama.ai/library/a/latest", "registry.ollama.ai/me/b/q4", "hf.co/org/repo/Q8_0"):
        put(store, name)
    assert sorted(ollama_names(project)) == ["a:latest", "hf.co/org/repo:Q8_0", "me/b:q4"]


def test_a_damaged_store(project: Settings, store: Path, tmp_path: Path) -> None:
    """An invalid manifest, a missing blob, an unknown name: one paragraph each, and the list still works."""
    put(store, "registry.ollama.ai/library/gone/1", model=gguf(tmp_path))
    for blob in (store / "blobs").iterdir():
        blob.unlink()
    put(store, "registry.ollama.ai/library/odd/1", template="x")
    broken = store / "manifests" / "registry.ollama.ai/library/broken"
    broken.mkdir()
    (broken / "1").write_text("{")
    for name, says in (("gone:1", "is not there"), ("odd:1", "names 0 model files"), ("broken:1", "no manifest")):
        with pytest.raises(ModelFileError, match=says):
            find_ollama(name, project)
    with pytest.raises(UnknownNameError, match="Did you mean 'gone:1'"):
        find_ollama("gon:1", project)
    assert {held.name: held.state for held in inventory(project)} == dict.fromkeys(
        ["broken:1", "gone:1", "odd:1"], ModelState.FAILED
    )


def test_no_store_is_no_error(tmp_path: Path) -> None:
    """A machine without Ollama."""
    settings = Settings.model_validate({"home": tmp_path, "ollama_models": tmp_path / "none"})
    assert ollama_names(settings) == {}
