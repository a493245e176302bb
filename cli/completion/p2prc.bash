# bash completion for p2prc(1)

_p2prc() {
    local cur prev words cword
    _init_completion || return
    local verbs="init invite join leave nodes fleet spin ps info kill stop start restart logs map-domain
        unmap-domain domains dns status doctor"
    local verb=${words[1]}
    if ((cword == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
        return
    fi
    case $prev in
        -o | --output)
            mapfile -t COMPREPLY < <(compgen -W json -- "$cur")
            return
            ;;
        --node)
            mapfile -t COMPREPLY < <(compgen -W "$(p2prc __complete nodes 2>/dev/null)" -- "$cur")
            return
            ;;
        --tls)
            mapfile -t COMPREPLY < <(compgen -W "node passthrough" -- "$cur")
            return
            ;;
        --role)
            mapfile -t COMPREPLY < <(compgen -W "member owner" -- "$cur")
            return
            ;;
    esac
    case $verb in
        info | kill | stop | start | restart | logs)
            mapfile -t COMPREPLY < <(compgen -W "$(p2prc __complete processes 2>/dev/null)" -- "$cur")
            ;;
        unmap-domain)
            mapfile -t COMPREPLY < <(compgen -W "$(p2prc __complete domains 2>/dev/null)" -- "$cur")
            ;;
        map-domain)
            ((cword == 3)) && mapfile -t COMPREPLY < <(compgen -W "$(p2prc __complete processes 2>/dev/null)" -- "$cur")
            ;;
        nodes)
            if ((cword == 2)); then
                mapfile -t COMPREPLY < <(compgen -W "show rm" -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W "$(p2prc __complete nodes 2>/dev/null)" -- "$cur")
            fi
            ;;
        fleet) mapfile -t COMPREPLY < <(compgen -W ca -- "$cur") ;;
        dns) mapfile -t COMPREPLY < <(compgen -W "zones records" -- "$cur") ;;
        spin) _filedir toml ;;
    esac
} && complete -F _p2prc p2prc
