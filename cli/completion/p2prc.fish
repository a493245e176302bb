# fish completion for p2prc(1)

set -l verbs init invite join leave nodes fleet spin ps info kill stop start restart logs map-domain unmap-domain domains dns status doctor help
complete -c p2prc -f
complete -c p2prc -n "not __fish_seen_subcommand_from $verbs" -a "$verbs"
complete -c p2prc -s o -l output -x -a json
complete -c p2prc -n "__fish_seen_subcommand_from info kill stop start restart logs" -a "(p2prc __complete processes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from map-domain" -a "(p2prc __complete processes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from unmap-domain" -a "(p2prc __complete domains 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from nodes" -a "show rm (p2prc __complete nodes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from fleet" -a ca
complete -c p2prc -n "__fish_seen_subcommand_from help" -a "$verbs"
complete -c p2prc -l acme -x -a "letsencrypt none"
complete -c p2prc -n "__fish_seen_subcommand_from dns" -a "zones records"
complete -c p2prc -n "__fish_seen_subcommand_from spin" -F
complete -c p2prc -l node -x -a "(p2prc __complete nodes 2>/dev/null)"
complete -c p2prc -l tls -x -a "node passthrough"
complete -c p2prc -l role -x -a "member owner"
