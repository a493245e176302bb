# fish completion for p2prc(1)

set -l verbs init invite join leave nodes fleet spin ps info kill stop start restart pause resume owners owner history rollback custom deploy logs top map-domain unmap-domain domains dns status doctor help
complete -c p2prc -f
complete -c p2prc -n "not __fish_seen_subcommand_from $verbs" -a "$verbs"
complete -c p2prc -n "__fish_seen_subcommand_from info kill stop start restart pause resume history rollback custom deploy logs top" -a "(p2prc __complete processes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from map-domain" -a "(p2prc __complete processes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from unmap-domain" -a "(p2prc __complete domains 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from nodes; and not __fish_seen_subcommand_from show rm label custom drain resume" -a "show rm label custom drain resume"
complete -c p2prc -n "__fish_seen_subcommand_from nodes; and __fish_seen_subcommand_from show rm label custom drain resume" -a "(p2prc __complete nodes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from owner; and not __fish_seen_subcommand_from limit" -a limit
complete -c p2prc -n "__fish_seen_subcommand_from owner; and __fish_seen_subcommand_from limit" -a "(p2prc __complete nodes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from fleet" -a ca
complete -c p2prc -n "__fish_seen_subcommand_from help" -a "$verbs"
complete -c p2prc -n "__fish_seen_subcommand_from dns; and not __fish_seen_subcommand_from zones records" -a "zones records"
complete -c p2prc -n "__fish_seen_subcommand_from dns; and __fish_seen_subcommand_from records" -a "(p2prc __complete zones 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from spin" -F

complete -c p2prc -s h -l help
complete -c p2prc -s o -l output -x -a json
complete -c p2prc -l json
complete -c p2prc -n "not __fish_seen_subcommand_from $verbs" -l version
complete -c p2prc -n "__fish_seen_subcommand_from init join" -l name -x
complete -c p2prc -n "__fish_seen_subcommand_from init spin" -l domain -x
complete -c p2prc -n "__fish_seen_subcommand_from init" -l public-ip -x
complete -c p2prc -n "__fish_seen_subcommand_from init" -l acme -x -a "letsencrypt none"
complete -c p2prc -n "__fish_seen_subcommand_from invite" -l role -x -a "member owner"
complete -c p2prc -n "__fish_seen_subcommand_from invite" -l expires -x
complete -c p2prc -n "__fish_seen_subcommand_from leave" -l force
complete -c p2prc -n "__fish_seen_subcommand_from spin top" -l node -x -a "(p2prc __complete nodes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from spin map-domain" -l port -x
complete -c p2prc -n "__fish_seen_subcommand_from spin start restart resume rollback deploy" -l no-wait
complete -c p2prc -n "__fish_seen_subcommand_from spin nodes" -l dry-run
complete -c p2prc -n "__fish_seen_subcommand_from nodes" -l deadline -x
complete -c p2prc -n "__fish_seen_subcommand_from custom" -F
complete -c p2prc -n "__fish_seen_subcommand_from spin start restart resume rollback deploy" -l timeout -x
complete -c p2prc -n "__fish_seen_subcommand_from pause resume" -l owner -x -a "(p2prc __complete nodes 2>/dev/null)"
complete -c p2prc -n "__fish_seen_subcommand_from logs" -s f -l follow
complete -c p2prc -n "__fish_seen_subcommand_from logs" -s n -l lines -x
complete -c p2prc -n "__fish_seen_subcommand_from top" -s n -l rounds -x
complete -c p2prc -n "__fish_seen_subcommand_from top" -l interval -x
complete -c p2prc -n "__fish_seen_subcommand_from top" -l sort -x -a "cpu memory io tasks connections bytes"
complete -c p2prc -n "__fish_seen_subcommand_from rollback" -l yes -s y
complete -c p2prc -n "__fish_seen_subcommand_from deploy" -l again
complete -c p2prc -n "__fish_seen_subcommand_from deploy" -l clean
complete -c p2prc -n "__fish_seen_subcommand_from logs" -l deploy
complete -c p2prc -n "__fish_seen_subcommand_from map-domain" -l tls -x -a "node passthrough"
complete -c p2prc -n "__fish_seen_subcommand_from owner" -l memory -x -a none
complete -c p2prc -n "__fish_seen_subcommand_from owner" -l cpu -x -a none
complete -c p2prc -n "__fish_seen_subcommand_from owner" -l tasks -x -a none
