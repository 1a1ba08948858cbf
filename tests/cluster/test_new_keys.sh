#!/usr/bin/env bash
# A node whose machine is lost comes back on another one with new keys: with its
# data its log goes on; without, the log comes back from above and is signed
# anew. Then the old certificates are revoked, and nothing is lost by that.
. "$(dirname "$0")/lib.sh"

make_small
start "$COUNTY"
start "$TOWN"
start "$VILLAGE"
check "import" enter "$VILLAGE" 1 20
check "equal" equal
certs=$TREE/$VILLAGE/certs

new_keys() { # FOLDER: where the old ones go
    mv "$certs" "$WORK/$1" &&
        "$ROOT/certs/make-node.sh" "$TREE/fed" "$certs" --tier village --code "$VILLAGE" >/dev/null
}

# With its data.
log=$(own_log "$VILLAGE")
stop "$VILLAGE"
check "new keys" new_keys first
start "$VILLAGE"
[ "$(own_log "$VILLAGE")" = "$log" ] || fail "another log: $(own_log "$VILLAGE")"
check "import" enter "$VILLAGE" 101 20
check "equal" equal

# Without.
stop "$VILLAGE"
check "newer keys" new_keys second
empty_node "$VILLAGE"
start "$VILLAGE"
is_closed() { [ "$(logs_of "$VILLAGE" "select(.log == \"$log\") | .state")" = closed ]; }
within "$PATIENCE" "the old log is back" is_closed
check "import" enter "$VILLAGE" 201 20
check "equal" equal

# Whoever has the old machine cannot connect any more. What it signed stays good,
# so a holder above may still fetch it anew.
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    for old in first second; do
        check "revoke" "$ROOT/certs/revoke.sh" "$TREE/$code/revoked" "$WORK/$old/tls.pem" --reason lost
    done
    from=$(($(log_end "$code") + 1))
    kill -HUP "$(tree_pid "$code")"
    within "$PATIENCE" "reload" says "$code" 'RELOAD ' "$from"
done
stop "$COUNTY"
empty_node "$COUNTY"
start "$COUNTY"
check "equal" equal
check "nothing acknowledged is missing" acked "$COUNTY"
