#!/usr/bin/env bash
# A log that does not grow stays to be had anew: when its origin gets a new
# certificate, the head that it signs again rises to every holder and is kept
# there, also where the holder was away meanwhile. So a store that is lost above
# is filled from below although the old certificate counts no more and the
# origin is off. And a list that does not grow still comes to a new node.
. "$(dirname "$0")/lib.sh"

TREE_ISSUERS="000000000000:1:1 $COUNTY:1:1"
make_small
start_all
check "import" enter "$VILLAGE" 1 20
check "equal" equal
VILLAGE3=341821100203
log=$(own_log "$VILLAGE")
signed_at() { logs_of "$1" "select(.log == \"$log\") | .checkpoint_ms"; }
is_signed_as() { [ "$(signed_at "$1")" = "$(signed_at "$2")" ]; }
new_keys() { # FOLDER: where the old ones go [CODE TIER]
    local code=${2:-$VILLAGE}
    mv "$TREE/$code/certs" "$WORK/$1" &&
        "$ROOT/certs/make-node.sh" "$TREE/fed" "$TREE/$code/certs" --tier "${3:-village}" --code "$code" >/dev/null
}
reload() { # CODE
    local from=$(($(log_end "$1") + 1))
    kill -HUP "$(tree_pid "$1")"
    within "$PATIENCE" "reload of $1" says "$1" 'RELOAD ' "$from"
}

note "while all are there"
before=$(signed_at "$COUNTY")
check "new keys" new_keys first
reload "$VILLAGE"
is_newer() { [ "$(signed_at "$COUNTY")" -gt "$before" ] && is_signed_as "$COUNTY" "$VILLAGE" && is_signed_as "$TOWN" "$VILLAGE"; }
within "$PATIENCE" "the new head is kept above" is_newer

note "while the county is away"
stop "$COUNTY"
check "new keys" new_keys second
reload "$VILLAGE"
within "$PATIENCE" "the township keeps it" is_signed_as "$TOWN" "$VILLAGE"
start "$COUNTY"
within "$PATIENCE" "the county has it, too" is_signed_as "$COUNTY" "$VILLAGE"
[ "$(size_at "$COUNTY" "$log")" = "$(own_size "$VILLAGE")" ] || fail "the log grew"

note "a new node below a relay of a list"
directive() { node_cmd "$COUNTY" directive "$@"; }
check "prepare" directive node-revoke "$VILLAGE2" --reason "示例" -o "$WORK/package" >/dev/null
check "sign" directive sign "$WORK/package" --key "$TREE/fed/deciders/$COUNTY-1.key" >/dev/null
check "publish" directive publish "$WORK/package" >/dev/null
knows() { node_cmd "$1" directive nodes --json 2>/dev/null | jq -e '.nodes | length == 1' >/dev/null; }
within "$PATIENCE" "the township has the list" knows "$TOWN"
check "new keys" new_keys third "$COUNTY" county
reload "$COUNTY"
add_node "$VILLAGE3" village "$TOWN"
check "revoke" "$ROOT/certs/revoke.sh" "$TREE/$VILLAGE3/revoked" "$WORK/third/sign.pem" --reason lost
start "$VILLAGE3"
within "$PATIENCE" "the list comes under its newest head" knows "$VILLAGE3"
stop "$VILLAGE3"

note "the old certificates count no more, and the origin is off"
size=$(own_size "$VILLAGE")
stop "$VILLAGE"
for code in "$COUNTY" "$TOWN"; do
    for old in first second; do
        check "revoke" "$ROOT/certs/revoke.sh" "$TREE/$code/revoked" "$WORK/$old/sign.pem" --reason lost
    done
done
reload "$TOWN"
stop "$COUNTY"
empty_node "$COUNTY"
start "$COUNTY"
is_back() { [ "$(size_at "$COUNTY" "$log")" = "$size" ]; }
within "$PATIENCE" "the county has the log again" is_back
check "nothing acknowledged is missing" acked "$COUNTY"
