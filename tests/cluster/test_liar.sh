#!/usr/bin/env bash
# A middle tier that alters, drops, reorders or invents entries, or brings what
# is not its to bring, is refused by the next, by log and number; malformed and
# oversized messages are refused and cost no memory; then the truth goes
# through.
. "$(dirname "$0")/lib.sh"

allow SYNC-DIFFERS
make_small
make_relay "$TOWN"
start_all
check "import" enter "$VILLAGE" 1 40
check "equal" equal
line "$TOWN" cut
check "import that the county does not get" enter "$VILLAGE" 41 100
check "import at the middle tier" enter "$TOWN" 1001 20
check "equal below" equal "$TOWN" "$VILLAGE"
log=$(own_log "$VILLAGE")
of_town=$(own_log "$TOWN")
held_of_town=$(size_at "$COUNTY" "$of_town")
held=$(size_at "$COUNTY" "$log")
stop "$TOWN"

memory() { awk '/^VmRSS/ {print $2}' "/proc/$(tree_pid "$COUNTY")/status"; }
lie() { # LIE PATTERN [ORIGIN]: the answer, and a line in the county's log, fit
    local from
    from=$(($(log_end "$COUNTY") + 1))
    "$LIAR" "$(tree_conf "$TOWN")" "127.0.0.1:$(tree_port "$COUNTY")" \
        "${3:-$VILLAGE}" "$1" >"$WORK/lie" 2>"$WORK/lie.err" ||
        fail "liar $1: $(tail -n 3 "$WORK/lie.err")"
    grep -qE "$2" "$WORK/lie" || fail "$1: answered $(cat "$WORK/lie")"
    note "$1: $(head -c 200 "$WORK/lie")"
    within "$PATIENCE" "$1 in the county's log" says "$COUNTY" "SYNC-REFUSED.*child=$TOWN|RPC-" "$from"
    [ "$(size_at "$COUNTY" "$log")" = "$held" ] || fail "$1: the county took entries"
    [ "$(size_at "$COUNTY" "$of_town")" = "$held_of_town" ] ||
        fail "$1: the county took entries of the township"
}
next=$((held + 1))
named="stop [1-9][0-9]* log $log: "
lie altered "stop $next ${named#* * }.*entries $next to"
lie dropped "$named"
lie reordered "$named"
lie invented "$named"
lie gap "stop $next ${named#* * }"
lie head "$named|stop 0 log $log"
lie signer "stop 0 log $log.*|$named"
lie signer "stop [0-9]+ log $of_town: .*certificate" "$TOWN"
lie foreign "stop [0-9]+ log 341822100201/records/[0-9a-f]+: "
before=$(memory)
lie garbage "closed (PROTOCOL|INVALID)"
lie bomb "$named.*block"
lie giant "closed|stop"
lie flood "stop [0-9]+ log $VILLAGE/"
grown=$(($(memory) - before))
note "memory grew by $grown KiB"
check "memory is bounded" [ "$grown" -lt 131072 ]
check "refusals are counted" [ "$(status "$COUNTY" '.children[0].refused')" -ge 10 ]

# Nothing of it stays: the real township is heard at once.
start "$TOWN"
line "$TOWN" join
check "equal" equal
check "the acknowledged rows" acked "$COUNTY"
check "scrub" node_cmd "$COUNTY" scrub >/dev/null
