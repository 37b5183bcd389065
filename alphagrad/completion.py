"""`alphagrad completion`: scripts by which shells complete commands, settings, tasks and files.

A script holds all words itself, so that nothing is imported while somebody types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ._columns import wrapped
from .run.settings import Setting

# Settings whose values are folders, and those whose values may be files.
_FOLDERS, _FILES = ("run_dir", "resume"), ("start", "out")
_DESCRIPTION = 70  # letters of help beside an option

_PLACES = {
    "bash": "~/.local/share/bash-completion/completions/alphagrad",
    "zsh": "~/.zfunc/_alphagrad",
    "fish": "~/.config/fish/completions/alphagrad.fish",
}
SHELLS: Sequence[str] = tuple(_PLACES)
"""The shells that there is a script for."""

Commands = Mapping[str, Mapping[str, Setting]]


def completion_script(shell: str, commands: Commands, tasks: Sequence[str]) -> str:
    """The script by which a shell completes `alphagrad`.

    Args:
        shell: one of `SHELLS`.
        commands: for each command, its settings by key.
        tasks: the names of tasks.
    """
    if shell == "fish":
        return "\n".join(_fish(commands, tasks)) + "\n"
    if shell == "bash":
        script, words, offer = _BASH, "keys='{}'", "COMPREPLY=($(compgen -W '{}' -- \"$value\"))"
    else:
        script, words, offer = _ZSH, "keys=({})", "compadd {}"
    cases = [f"{name}) {words.format(' '.join(keys))} ;;" for name, keys in commands.items() if keys]
    choices = [
        f"{command}:{key}) {offer.format(' '.join(setting.choices))} ;;"
        for command, keys in commands.items()
        for key, setting in keys.items()
        if setting.choices
    ]
    for mark, text in {
        "@cases@": f"\n{' ' * 8}".join(cases),
        "@choices@": f"\n{' ' * 12}".join(choices),
        "@commands@": " ".join(commands),
        "@files@": _any(_FILES),
        "@flags@": " ".join(_flags(commands)),
        "@how@": _how(shell),
        "@folders@": _any(_FOLDERS),
        "@shells@": " ".join(SHELLS),
        "@tasks@": " ".join(tasks),
        "@truths@": _any(_flags(commands)),
    }.items():
        script = script.replace(mark, text)
    return script


def completion_help() -> str:
    """How the scripts are installed."""
    return "\n".join(
        [
            f"usage: alphagrad completion {'|'.join(SHELLS)}",
            "",
            *wrapped(
                "Prints a script by which a shell completes commands, settings, tasks and files. Keep it:"
            ),
            *(f"  {_how(shell)}" for shell in SHELLS),
            "",
            *wrapped(
                "Bash reads that folder if the package bash-completion is there; else let ~/.bashrc source "
                "the file. Zsh finds it if ~/.zshrc says fpath+=~/.zfunc before compinit."
            ),
        ]
    )


def _how(shell: str) -> str:
    return f"alphagrad completion {shell} > {_PLACES[shell]}"


def _any(keys: Sequence[str]) -> str:
    """A pattern for any of these settings, of whatever command."""
    return "|".join(f"*:{key}" for key in keys)


def _flags(commands: Commands) -> list[str]:
    """The settings that need no value."""
    return sorted({key for keys in commands.values() for key, setting in keys.items() if setting.is_truth})


# Bash takes = and : for the ends of words, which stand within ours: so they are read off the line, and what
# is before the last such end is left out of the answers. Nothing here is younger than Bash 3.2.
_BASH = r"""# @how@
_alphagrad() {
    local line="${COMP_LINE:0:COMP_POINT}" words=() word='' before key='' value='' keys flags=' @flags@ '
    read -ra words <<< "$line"
    local last=$((${#words[@]} - 1))
    if [[ $line != *' ' ]]; then word=${words[last]}; last=$((last - 1)); fi
    before=${words[last]}
    COMPREPLY=()
    if ((last == 0)); then
        COMPREPLY=($(compgen -W '@commands@ --help --version' -- "$word"))
        return
    fi
    case ${words[1]} in
        @cases@
        completion) COMPREPLY=($(compgen -W '@shells@' -- "$word")); return ;;
        *) COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
    if [[ $word == *=* ]]; then
        key=${word%%=*} value=${word#*=}
    elif [[ $before == --* && $before != *=* && $before != --help* && $before != --no-* ]]; then
        key=$before value=$word
    fi
    key=${key#--}
    key=${key//-/_}
    if [[ -n $key && ($word == *=* || $flags != *" $key "*) ]]; then
        case ${words[1]}:$key in
            *:task) COMPREPLY=($(compgen -W '@tasks@' -- "$value") $(compgen -f -- "$value")) ;;
            @folders@) COMPREPLY=($(compgen -d -- "$value")) ;;
            @files@) COMPREPLY=($(compgen -f -- "$value")) ;;
            @truths@) COMPREPLY=($(compgen -W 'true false' -- "$value")) ;;
            @choices@
        esac
        if [[ $value == *:* && $COMP_WORDBREAKS == *:* ]]; then
            COMPREPLY=("${COMPREPLY[@]#"${value%:*}:"}")
        elif [[ $word == *=* && $COMP_WORDBREAKS != *=* ]]; then
            COMPREPLY=("${COMPREPLY[@]/#/${word%%=*}=}")
        fi
    elif [[ $word == -* ]]; then
        local options='--help --help-all'
        for key in $keys; do
            options+=" --${key//_/-}"
            if [[ $flags == *" $key "* ]]; then options+=" --no-${key//_/-}"; fi
        done
        COMPREPLY=($(compgen -W "$options" -- "$word"))
    else
        COMPREPLY=($(compgen -W "$keys" -S = -- "$word"))
        if ((${#COMPREPLY[@]})); then compopt -o nospace 2> /dev/null; fi
        COMPREPLY+=($(compgen -W '@tasks@' -- "$word") $(compgen -f -X '!*.py' -- "$word"))
    fi
}
complete -F _alphagrad alphagrad
"""

_ZSH = r"""#compdef alphagrad
# @how@
_alphagrad() {
    local -a keys flags tasks options
    local key
    flags=(@flags@)
    tasks=(@tasks@)
    if (( CURRENT == 2 )); then
        compadd -- @commands@ --help --version
        return
    fi
    case $words[2] in
        @cases@
        completion) compadd -- @shells@; return ;;
        *) _files; return ;;
    esac
    if [[ $PREFIX == *=* ]]; then
        key=${PREFIX%%=*}
        compset -P 1 '*='
    elif [[ $words[CURRENT-1] == --* && $words[CURRENT-1] != (*=*|--help*|--no-*) ]]; then
        key=$words[CURRENT-1]
        if (( $flags[(Ie)${${key#--}//-/_}] )); then key=''; fi
    fi
    if [[ -n $key ]]; then
        case $words[2]:${${key#--}//-/_} in
            *:task) compadd -a tasks; _files ;;
            @folders@) _files -/ ;;
            @files@) _files ;;
            @truths@) compadd true false ;;
            @choices@
        esac
    elif [[ $PREFIX == -* ]]; then
        options=(--help --help-all)
        for key in $keys; do
            options+=(--${key//_/-})
            if (( $flags[(Ie)$key] )); then options+=(--no-${key//_/-}); fi
        done
        compadd -a options
    else
        compadd -S = -a keys
        compadd -a tasks
        _files -g '*.py'
    fi
}
if [[ $funcstack[1] == _alphagrad ]]; then _alphagrad "$@"; else compdef _alphagrad alphagrad; fi
"""


def _fish(commands: Commands, tasks: Sequence[str]) -> Iterator[str]:
    yield f"# {_how('fish')}"
    one = "complete -c alphagrad"
    yield f"{one} -f"
    yield f"{one} -n __fish_use_subcommand -a '{' '.join(commands)}'"
    yield f"{one} -n __fish_use_subcommand -l help -l version"
    for name, keys in commands.items():
        here = f"{one} -n '__fish_seen_subcommand_from {name}'"
        if not keys:
            yield f"{here} -a '{' '.join(SHELLS)}'" if name == "completion" else f"{here} -F"
            continue
        yield f"{here} -l help -l help-all"
        names = [*(f"task={task}" for task in tasks), *(f"{key}=" for key in keys), *tasks]
        names += [f"{key}={choice}" for key, setting in keys.items() for choice in setting.choices]
        yield f"{here} -a '{' '.join(names)}'"
        for key, setting in keys.items():
            option = f"-l {key.replace('_', '-')} -d '{_quoted(setting.help)}'"
            if setting.is_truth:
                yield f"{here} {option}"
                yield f"{here} -l no-{key.replace('_', '-')}"
            elif key == "task":
                yield f"{here} {option} -rF -a '{' '.join(tasks)}'"
            elif setting.choices:
                yield f"{here} {option} -x -a '{' '.join(setting.choices)}'"
            elif key in _FOLDERS:
                yield f"{here} {option} -x -a '(__fish_complete_directories)'"
            else:
                yield f"{here} {option} {'-rF' if key in _FILES else '-x'}"


def _quoted(help: str) -> str:
    """A few words of help, as they stand between single quotes."""
    few = help if len(help) <= _DESCRIPTION else help[:_DESCRIPTION].rpartition(" ")[0] + " ..."
    return few.replace("\\", "\\\\").replace("'", "\\'")
