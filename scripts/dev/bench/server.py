"""llama.cpp's own server as a child process, and a client that plays a workload on it."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nightjar.config.errors import ServiceError, UsageError
from nightjar.scripts.dev.bench.workloads import SAMPLING, BenchChat, Delivered, Workload

START_LIMIT_S = 120.0
LAST_LINES = 5
_XLLAMACPP = """
import sys, json, xllamacpp
wanted = json.loads(sys.argv[1])
params = xllamacpp.CommonParams()
params.model.path = wanted["model"]
params.hostnames, params.port = ["127.0.0.1"], wanted["port"]
params.n_parallel, params.n_ctx = wanted["slots"], wanted["slots"] * wanted["context"]
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wanted["threads"]
params.warmup = False
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"""
_XLLAMACPP_VERSION = """
import xllamacpp
print("xllamacpp", xllamacpp.__version__, "|", xllamacpp.get_system_info())
"""


@dataclass(frozen=True, kw_only=True)
class ServerProgram:
    """A `llama-server` binary, or a Python that has the `xllamacpp` wheel."""

    path: Path
    is_python: bool

    def command(self, model: Path, port: int, slots: int, context: int, threads: int) -> list[str]:
        """`context` is that of one slot; everything else is the server's default."""
        if self.is_python:
            wanted = {"model": str(model), "port": port, "slots": slots, "context": context, "threads": threads}
            return [str(self.path), "-c", _XLLAMACPP, json.dumps(wanted)]
        total = str(slots * context)
        return [
            *(str(self.path), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "--no-webui"),
            *("-np", str(slots), "-c", total, "-t", str(threads), "-tb", str(threads), "--no-warmup"),
        ]

    def version(self) -> str:
        """What the program says about itself, on one line. Raises ServiceError if it does not run."""
        ask = ["-c", _XLLAMACPP_VERSION] if self.is_python else ["--version"]
        try:
            completed = subprocess.run([str(self.path), *ask], capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            details = getattr(error, "stderr", None) or error
            raise ServiceError(f"The server to compare with, {self.path}, does not run: {details}") from None
        return "; ".join((completed.stdout + completed.stderr).strip().splitlines())


def find_server(binary: str | None, python: Path | None) -> ServerProgram | None:
    """The named binary, else the named Python's xllamacpp, else that of this environment; None if there is none.

    Raises UsageError for a named program that is not there, ServiceError for one that does not run.
    """
    if binary is None and python is None:
        return ServerProgram(path=Path(sys.executable), is_python=True) if find_spec("xllamacpp") else None
    program_path = shutil.which(binary or str(python))
    if program_path is None:
        raise UsageError(f"{'--server' if binary else '--xllamacpp'}: there is no program {binary or python}.")
    program = ServerProgram(path=Path(program_path), is_python=binary is None)
    program.version()
    return program


class Server:
    """Raises ServiceError if the server does not come up."""

    def __init__(
        self, program: ServerProgram, model: Path, *, slots: int, context: int, threads: int, log: Path
    ) -> None:
        self._port = _free_port()
        self._log = log
        with log.open("wb") as output:
            command = program.command(model, self._port, slots, context, threads)
            # The pipe tells a child in Python that we are gone, whatever the reason.
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
        self._await_health()

    @property
    def base_url(self) -> str:
        """Where it speaks OpenAI's protocol."""
        return f"http://127.0.0.1:{self._port}/v1"

    def run(self, workload: Workload) -> Delivered:
        began = time.perf_counter()
        with ThreadPoolExecutor(workload.at_once) as clients:
            played = list(clients.map(lambda chat: self._play(chat, workload), workload.chats))
        return Delivered(
            seconds=time.perf_counter() - began,
            replies=sum(counted for counted, _, _ in played),
            reply_tokens=sum(tokens for _, tokens, _ in played),
            prompt_tokens_computed=sum(computed for _, _, computed in played),
        )

    def close(self) -> None:
        self._child.terminate()
        try:
            self._child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()

    def _play(self, chat: BenchChat, workload: Workload) -> tuple[int, int, int]:
        ids: list[int] = []
        counted = tokens = computed = 0
        for turn in chat.turns:
            ids += turn
            answer = self._complete(ids, chat.seed, workload)
            ids += answer["tokens"]
            counted += workload.counts(answer["content"])
            tokens += len(answer["tokens"])
            computed += answer["timings"]["prompt_n"]
        return counted, tokens, computed

    def _complete(self, ids: list[int], seed: int, workload: Workload) -> Any:
        asked: dict[str, Any] = {
            "prompt": ids,
            "n_predict": workload.reply_tokens,
            "seed": seed,
            "cache_prompt": True,
            "return_tokens": True,
            "samplers": ["top_k", "top_p", "min_p", "temperature"],
            **SAMPLING,
        }
        if workload.json_schema is None:
            asked["ignore_eos"] = True
        else:
            asked["json_schema"] = workload.json_schema
        return self.ask("POST", "/completion", asked)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one call, from JSON to JSON. Raises ServiceError with the server's words if it refuses."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ServiceError(f"llama-server answered {response.status} to {path}: {answer}. Its log: {self._log}.")
        return answer

    def _await_health(self) -> None:
        end = time.monotonic() + START_LIMIT_S
        while time.monotonic() < end and self._child.poll() is None:
            try:
                self.ask("GET", "/health")
                return
            except (OSError, ServiceError):
                time.sleep(0.1)
        code = self._child.poll()
        self.close()
        what = f"did not answer within {START_LIMIT_S:.0f} s" if code is None else f"ended with code {code}"
        last = " / ".join(self._log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:])
        raise ServiceError(f"the server {what} at its start; {self._log} ends with: {last}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
