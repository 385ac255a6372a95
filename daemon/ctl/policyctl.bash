# SPDX-License-Identifier: Apache-2.0
# bash completion for policyctl

_policyctl()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local verb=${COMP_WORDS[1]} options

    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'replay check ready stats tap port --help --version' -- "$word")
        return
    fi

    case $before in
    -o|--output)
        options='table json'
        [ "$verb" = replay ] && options='table json jsonl'
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        return ;;
    --sni-check)
        mapfile -t COMPREPLY < <(compgen -W 'off log enforce' -- "$word")
        return ;;
    -r|--read|-p|--policy|--token-file|--trust-anchors)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return ;;
    --kind)
        mapfile -t COMPREPLY < <(compgen -W 'flow update deny dns' -- "$word")
        return ;;
    --proto)
        mapfile -t COMPREPLY < <(compgen -W 'tcp udp icmp icmpv6' -- "$word")
        return ;;
    --trust-resolver|--inside|--url|--src|--dst|--hostname|--src-port|--dst-port|-n|--count|--for)
        return ;;
    esac

    case $verb in
    replay)
        options='--read --policy --output --json --trust-resolver --inside --trust-anchors --sni-check --quiet
                 --no-color --help' ;;
    check)
        options='--output --json --no-color --help' ;;
    ready)
        options='--url --output --json --no-color --help' ;;
    stats)
        options='--url --token-file --output --json --help' ;;
    tap)
        options='--src --dst --hostname --proto --src-port --dst-port --kind --count --for --url
                 --token-file --output --json --no-color --help' ;;
    port)
        options='--output --json --no-color --help' ;;
    esac

    if [[ $word != -* && $verb == port && $COMP_CWORD -eq 2 ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'show release' -- "$word")
    elif [[ $word != -* && $verb == port ]]; then
        mapfile -t COMPREPLY < <(cd /sys/class/net && compgen -G "$word*")
    elif [[ $word != -* && $verb == check ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    fi
}
complete -F _policyctl policyctl
