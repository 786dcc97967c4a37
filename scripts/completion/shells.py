"""What a shell runs to complete `nightjar`, and the line that a shell hands over."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nightjar.scripts.completion.candidates import Completion

FILES_TOO = "//files"
"""The last line of an answer where paths may stand, too; no word of ours begins so."""

BASH = f"""\
# Completion of nightjar in bash. Now: source <(nightjar completion bash)
# For good: nightjar completion bash > ~/.local/share/bash-completion/completions/nightjar
_nightjar() {{
    local word answer
    local line=${{COMP_LINE:0:COMP_POINT}}
    mapfile -t answer < <("${{COMP_WORDS[0]}}" __complete bash "$line" "$COMP_WORDBREAKS" 2>/dev/null)
    COMPREPLY=()
    for word in "${{answer[@]}}"; do
        if [[ $word == "{FILES_TOO}" ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}")
        else
            COMPREPLY+=("$word")
        fi
    done
    if [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}}
complete -F _nightjar nightjar
"""
ZSH = f"""\
#compdef nightjar
# Completion of nightjar in zsh. Now: source <(nightjar completion zsh)
# For good: nightjar completion zsh > "${{fpath[1]}}/_nightjar"
_nightjar() {{
    local -a answer plain open
    answer=("${{(@f)$("${{words[1]}}" __complete zsh "${{(@)words[2,CURRENT]}}" 2>/dev/null)}}")
    local word files=0
    for word in "${{answer[@]}}"; do
        case $word in
            "{FILES_TOO}") files=1 ;;
            *=) open+=("$word") ;;
            ?*) plain+=("$word") ;;
        esac
    done
    compadd -- "${{plain[@]}}"
    compadd -S '' -- "${{open[@]}}"
    (( files )) && _files
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _nightjar "$@"
else
    (( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit }}
    compdef _nightjar nightjar
fi
"""
FISH = f"""\
# Completion of nightjar in fish. Now: nightjar completion fish | source
# For good: nightjar completion fish > ~/.config/fish/completions/nightjar.fish
function __nightjar_complete
    set -l words (commandline -opc)
    for word in ($words[1] __complete fish $words[2..-1] (commandline -ct) 2>/dev/null)
        if test "$word" = "{FILES_TOO}"
            __fish_complete_path (commandline -ct)
        else
            printf '%s\\n' $word
        end
    end
end
complete -c nightjar -f -a '(__nightjar_complete)'
"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def words_of(line: str) -> list[str]:
    """The words of a line as bash reads it, without the command's own; the last one may be empty, or still quoted."""
    words, word, quote = [], "", ""
    begun = escaped = False
    for char in line:
        if escaped:
            word, escaped = word + char, False
        elif char == "\\" and quote != "'":
            begun = escaped = True
        elif quote:
            word, quote = (word, "") if char == quote else (word + char, quote)
        elif char in "'\"":
            begun, quote = True, char
        elif char.isspace():
            words += [word] if begun else []
            begun, word = False, ""
        else:
            begun, word = True, word + char
    return [*words, word][1:]


def after_breaks(completion: Completion, begun: str, breaks: str) -> Completion:
    """The words without what bash takes for words before them: it ends one at each `:` and `=`."""
    split = [char for char in ":=" if char in breaks]
    cut = max((begun.rfind(char) + 1 for char in split), default=0)
    return Completion(words=tuple(word[cut:] for word in completion.words), files=completion.files)


def answer_lines(completion: Completion) -> list[str]:
    """What the scripts above read: a word a line. Names with a control character are left out."""
    words = [word for word in completion.words if not re.search(r"[\x00-\x1f\x7f]", word)]
    return [*words, FILES_TOO] if completion.files else words


def read_call(arguments: Sequence[str]) -> tuple[list[str], str]:
    """The words to complete, and where bash breaks words, of `nightjar __complete SHELL ...`."""
    shell, *rest = arguments or [""]
    if shell == "bash":
        line, breaks = [*rest, "", ""][:2]
        return words_of(line), breaks
    return rest, ""
