#!/usr/bin/env bash
# What an installation is doing, from pip's log: the last line that says something. Usage: install_progress.sh LOG
# While a package is compiled, ninja counts its steps: "  [12/136] /usr/bin/c++ ..."
set -euo pipefail
last=$(grep -aE '^ *(Building|Collecting|Downloading|Installing|Using|Successfully|\[[0-9]+/[0-9]+\])' "$1" | tail -1 || true)
if [[ $last =~ ^\ *\[([0-9]+)/([0-9]+)\] ]]; then
    echo "compiling llama.cpp, $((100 * BASH_REMATCH[1] / BASH_REMATCH[2])) %"
else
    echo "${last:0:90}"
fi
