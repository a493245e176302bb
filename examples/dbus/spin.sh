#!/bin/sh
# Spins `sleep` as the process NAME, prints its state, and kills it: spin.sh NAME
set -eu
name=${1:?a name for the process}

call() { busctl --timeout=0 call org.p2prc1 /org/p2prc1 org.p2prc1.Manager "$@"; }

# a{sv} of two entries, of which run is an a{sv} itself; then the node, "" for this one. The answer is: o "/PATH"
object=$(call SpinProcess 'a{sv}s' 2 name s "$name" run 'a{sv}' 1 command as 2 /usr/bin/sleep infinity '')
object=${object#o \"}
object=${object%\"}
busctl get-property org.p2prc1 "$object" org.p2prc1.Process State
call KillProcess s "$name"
