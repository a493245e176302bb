# bash completion for p2prc(1)

_p2prc() {
    local cur prev words cword
    _init_completion || return
    local verbs="init invite join leave nodes fleet spin ps info kill stop start restart pause resume owners owner history rollback custom deploy logs top map-domain
        unmap-domain domains dns status doctor help"
    # The words that are no options and no values of options: the command, and what follows it.
    local -a plain=()
    local i
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
            -o | --output | --node | --owner | --port | --domain | --timeout | --deadline | --tls | --role | --expires | --name | --public-ip | --acme | -n | --lines | --interval | --rounds | --sort | --memory | --cpu | --tasks) ((i++)) ;;
            -*) ;;
            *) plain+=("${words[i]}") ;;
        esac
    done
    case $prev in
        -o | --output) _p2prc_words json && return ;;
        --node | --owner) _p2prc_names nodes && return ;;
        --tls) _p2prc_words node passthrough && return ;;
        --sort) _p2prc_words cpu memory io tasks connections bytes && return ;;
        --role) _p2prc_words member owner && return ;;
        --acme) _p2prc_words letsencrypt none && return ;;
        --port | --domain | --timeout | --deadline | --expires | --name | --public-ip | -n | --lines | --interval | --rounds) return ;;
        --memory | --cpu | --tasks) _p2prc_words none && return ;;
    esac
    # What spin runs is a command of its own.
    if [[ ${plain[0]} == spin && " ${words[*]:0:cword} " == *" -- "* ]]; then
        for ((i = 1; i < cword; i++)); do [[ ${words[i]} == -- ]] && _command_offset $((i + 1)) && return; done
        return
    fi
    if [[ $cur == -* ]]; then
        _p2prc_words --help --output --json
        case ${plain[0]} in
            init) _p2prc_words --name --domain --public-ip --acme ;;
            invite) _p2prc_words --role --expires ;;
            join) _p2prc_words --name ;;
            leave) _p2prc_words --force ;;
            spin) _p2prc_words --node --port --domain --no-wait --timeout --dry-run -- ;;
            nodes) _p2prc_words --dry-run --deadline ;;
            start | restart) _p2prc_words --no-wait --timeout ;;
            rollback) _p2prc_words --yes --no-wait --timeout ;;
            deploy) _p2prc_words --again --clean --no-wait --timeout ;;
            pause) _p2prc_words --owner ;;
            resume) _p2prc_words --owner --no-wait --timeout ;;
            owner) _p2prc_words --memory --cpu --tasks ;;
            logs) _p2prc_words --follow --lines --deploy ;;
            top) _p2prc_words --node --interval --rounds --sort ;;
            map-domain) _p2prc_words --tls --port ;;
            "") _p2prc_words --version ;;
        esac
        return
    fi
    [[ ${plain[0]} == help ]] && plain=("${plain[@]:1}")
    case ${plain[0]}:${#plain[@]} in
        :0) _p2prc_words "$verbs" ;;
        info:1 | kill:1 | stop:1 | start:1 | restart:1 | pause:1 | resume:1 | history:1 | rollback:1 | custom:1 | deploy:1 | logs:1 | top:1 | map-domain:2) _p2prc_names processes ;;
        unmap-domain:1) _p2prc_names domains ;;
        nodes:1) _p2prc_words show rm label custom drain resume ;;
        nodes:2) _p2prc_names nodes ;;
        nodes:3) if [[ ${plain[1]} == custom ]]; then _filedir json; fi ;;
        custom:2) _filedir json ;;
        owner:1) _p2prc_words limit ;;
        owner:2) _p2prc_names nodes ;;
        fleet:1) _p2prc_words ca ;;
        dns:1) _p2prc_words zones records ;;
        dns:2) if [[ ${plain[1]} == records ]]; then _p2prc_names zones; fi ;;
        spin:1) _filedir toml ;;
    esac
}

# Both add to what is offered, among the words that begin as what was typed.
_p2prc_words() {
    local -a found
    mapfile -t found < <(compgen -W "$*" -- "$cur")
    COMPREPLY+=("${found[@]}")
}
_p2prc_names() { _p2prc_words "$(p2prc __complete "$1" 2>/dev/null)"; } && complete -F _p2prc p2prc
