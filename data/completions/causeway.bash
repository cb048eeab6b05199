# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Causeway authors

# Completes causeway in bash: commands, options, files, and the words of a code.

_causeway()
{
    local cur prev command word
    local session='--verify --mailbox --transit-relay --no-direct --code-length --quiet --json'
    local all='--verbose --help'

    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    command=${COMP_WORDS[1]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W \
            'send receive id mailbox relay help --help --version' -- "$cur")
        return
    fi
    case $prev in
    --output | -o)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --code | -c)
        _causeway_code "$cur"
        return
        ;;
    --transit-relay)
        mapfile -t COMPREPLY < <(compgen -W 'none tcp:' -- "$cur")
        return
        ;;
    --mailbox | --code-length | --text | -t | --name | -n | --listen | -l | --motd)
        return
        ;;
    esac
    case $command in
    send) word="$session $all --text --name --code --qr" ;;
    receive) word="$session $all --yes --output --stdout" ;;
    id) word="$all --json" ;;
    mailbox) word="$all --json --listen --motd" ;;
    relay) word="$all --json --listen" ;;
    help) word='send receive id mailbox relay' ;;
    *) return ;;
    esac
    if [[ $cur == -* || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
    elif [[ $command == send ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    elif [[ $command == receive ]]; then
        _causeway_code "$cur"
    fi
}

# A code is not at its end while it ends in "-".
_causeway_code()
{
    mapfile -t COMPREPLY < <(causeway complete-code "$1" 2>/dev/null)
    [[ ${COMPREPLY[0]} == *- ]] && compopt -o nospace
}

complete -F _causeway causeway
