#!/usr/bin/env bash
# A county moves from its embedded store to MariaDB and back while its townships
# go on entering: the copy is killed again and again, the node too, and beside
# all that two villages enter. Afterwards every ancestor equals the origins by
# root, everything acknowledged is there, nothing twice, the old store starts
# no node, and what the county signed before the move goes on behind it.
#   test_store_copy.sh [KILLS]
. "$(dirname "$0")/lib.sh"

KILLS=${1:-4}
ROWS=40
[ -n "$(PATH=$PATH:/usr/sbin command -v mariadbd)" ] || exit 77

make_line
add_node "$VILLAGE2" village "$TOWN"
server_make
new_database "$COUNTY"

conf=$TREE/$COUNTY/node.cfg
other=$TREE/$COUNTY/other.cfg
# The same node, its store elsewhere: FOLDER BACKEND.
elsewhere() {
    sed '/^data: {/,/^};/s|dir = "[^"]*"|dir = "'"$TREE/$COUNTY/$1"'"|;
        /^store: {/,/^};/s|reserve = .*|&\n    backend = "'"$2"'";|;
        /^ *backend = /{/"'"$2"'"/!d}' "$conf"
    [ "$2" = embedded ] || cat <<END
mariadb: { socket = "$SERVER/socket"; database = "cn_$COUNTY"; user = "root"; };
END
}
copy() { "$CREDITNODE" store copy --from "$conf" --to "$other" "$@"; }
# Anywhere in its work.
copy_killed() {
    local pid
    "$CREDITNODE" store copy --from "$conf" --to "$other" >>"$WORK/copy.log" 2>&1 &
    pid=$!
    sleep "$((RANDOM % 3)).$((RANDOM % 10))$((RANDOM % 10))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
}

# TEXT COMMAND...: it fails and says so.
fails_with() {
    local text=$1
    shift
    "$@" >"$WORK/said" 2>&1 && return 1
    grep -qF "$text" "$WORK/said" || { cat "$WORK/said" >&2; return 1; }
}
gone() { ! tree_runs "$1"; }

wait_for_load() {
    within "$PATIENCE" "load" more_batches "$VILLAGE" $(($(batches "$VILLAGE") + 1))
}

start_all
own=$(own_log "$COUNTY")
check "the county's own" enter "$COUNTY" 900001 $ROWS
load_begins "$VILLAGE" 1
load_begins "$VILLAGE2" 500001
wait_for_load

# ---- to MariaDB, killed on the way ----

elsewhere moved mariadb >"$other"
check "the configuration" "$CREDITNODE" check-config -c "$other" >/dev/null
for ((i = 1; i <= KILLS; i++)); do
    copy_killed
    wait_for_load
done
copy --once --json >"$WORK/once" 2>>"$WORK/copy.log"
check "a look beside the node moves nothing" [ $? -eq 3 ]
check "it copied" jq -e '.result == "copied" and .entries > 0 and .read_back == .entries' "$WORK/once" >/dev/null
check "no node starts on an unfinished copy" \
    fails_with "unfinished copy" timeout 60 "$CREDITNODE" serve -c "$other"

"$CREDITNODE" store copy --from "$conf" --to "$other" --json \
    >"$WORK/moved" 2>>"$WORK/copy.log" &
follower=$!
PROCESSES+=("$follower")
wait_for_load
kill_node "$COUNTY" # the copy takes what it left
within "$PATIENCE" "the move ends" gone "$follower"
wait "$follower"
check "it says so" [ $? -eq 0 ]
check "it moved" jq -e '.result == "moved" and .issues_from == .issues_to' "$WORK/moved" >/dev/null
check "no node starts on the old store" \
    fails_with "was moved to $other" timeout 60 "$CREDITNODE" serve -c "$conf"
check "nor is it copied again" fails_with "not empty" copy
cp "$conf" "$WORK/embedded.cfg"
cp "$other" "$conf"
start "$COUNTY"
check "the county's own log goes on" [ "$(own_log "$COUNTY")" = "$own" ]
wait_for_load
check "new ones of its own" enter "$COUNTY" 910001 $ROWS
check "the same again changes nothing" enter "$COUNTY" 900001 $ROWS

# ---- back, with the node stopped, killed on the way too ----

stop "$COUNTY"
elsewhere back embedded | sed '/^mariadb: /d' >"$other"
ln -s loop "$TREE/$COUNTY/moved/keys/loop" # there, and cannot be looked at
check "nothing moves without all of its keys" fails_with "keys/loop" copy
rm "$TREE/$COUNTY/moved/keys/loop"
for ((i = 1; i <= KILLS; i++)); do copy_killed; done
copy >>"$WORK/copy.log" 2>&1 || check "it had moved" fails_with "not empty" copy
cp "$other" "$conf"
start "$COUNTY"
wait_for_load

load_ends
check "equal everywhere" equal
check "everything acknowledged is there" acked "$PROVINCE" "$CITY" "$COUNTY"
check "nothing twice at $VILLAGE" holds_rows "$VILLAGE" $(($(batches "$VILLAGE") * ROWS))
check "nothing twice at $VILLAGE2" holds_rows "$VILLAGE2" $(($(batches "$VILLAGE2") * ROWS))
check "nothing twice at the county" holds_rows "$COUNTY" $((2 * ROWS))
check "one log of its own" [ "$(logs_of "$COUNTY" 'select(.own) | .log' | grep -c /records/)" = 1 ]
check "scrub" node_cmd "$COUNTY" scrub >/dev/null
check "no report of a sanitizer" bash -c "! grep -qE 'Sanitizer|runtime error' '$WORK/copy.log'"
