#!/usr/bin/env bash
# The database server of county, city and province is killed under load, stays
# away a while, comes back: the nodes stay up and say what is wrong, a village
# enters on, nothing acknowledged is missing, nothing is there twice, and every
# tier equals the origins again without a person. A certificate renewed meanwhile
# is signed with afterwards. A commit that the server does not answer holds up
# neither a reload of a node nor its end.
#   test_mariadb_down.sh [TIMES]
. "$(dirname "$0")/lib.sh"

TIMES=${1:-2}
ROWS=40
# Each may meet the server's end in the middle of anything.
allow STORE-FULL STORE-CORRUPT STORE-BACKGROUND RELOAD-SIGN

make_line
for node in "$PROVINCE" "$CITY" "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$node" replication.segment="4 KiB"
done
set_option "$COUNTY" mariadb.timeout="3 s"
set_option "$COUNTY" mariadb.connect_timeout="1 s"
start_all

load_begins "$VILLAGE" 1

renew() {
    "$ROOT/certs/renew.sh" "$TREE/$COUNTY/certs" --federation-dir "$TREE/fed" \
        >/dev/null || fail "renewal"
}

# The server takes statements, and leaves every COMMIT without an answer.
hold_commits() {
    exec {HOLD}> >(exec mariadb --no-defaults -uroot --socket="$SERVER/socket")
    printf 'BACKUP STAGE %s;\n' START FLUSH BLOCK_DDL BLOCK_COMMIT >&"$HOLD"
}
release_commits() {
    echo 'BACKUP STAGE END;' >&"$HOLD"
    exec {HOLD}>&-
}

# More than it had when its database went.
takes_in() {
    [ "$(size_at "$COUNTY" "$log")" -gt $((before * ROWS)) ] 2>/dev/null
}
log=$(own_log "$VILLAGE")

for ((i = 1; i <= TIMES; i++)); do
    within "$PATIENCE" "load" more_batches "$VILLAGE" "$(batches "$VILLAGE")"
    from=$(log_end "$COUNTY")
    server_kill
    within "$PATIENCE" "the county says that its database is away" \
        says "$COUNTY" 'STORE-FULL.*MariaDB' "$from"
    # What the store cannot take now waits for it, or is said to it again.
    from=$(($(log_end "$COUNTY") + 1))
    renew
    kill -HUP "$(tree_pid "$COUNTY")"
    within "$PATIENCE" "it reloads" says "$COUNTY" 'RELOAD .*renewed' "$from"
    ! says "$COUNTY" 'CERT-RENEWED.*use=sign' "$from" ||
        fail "it says that it signs with the new certificate"
    within "$PATIENCE" "an alarm" is "$COUNTY" '.health.reasons | any(.id == "store-not-writable")' true
    before=$(batches "$VILLAGE")
    within "$PATIENCE" "the village enters on" more_batches "$VILLAGE" "$before"
    server_start
    within "$PATIENCE" "the county takes in again" takes_in
    within "$PATIENCE" "it signs with the new certificate" \
        says "$COUNTY" 'CERT-RENEWED.*use=sign' "$from"
done

within "$PATIENCE" "load" more_batches "$VILLAGE" "$(batches "$VILLAGE")"
from=$(($(log_end "$COUNTY") + 1))
hold_commits
within "$PATIENCE" "the outcome of a commit is not known" \
    says "$COUNTY" STORE-FULL "$from"
renew
kill -HUP "$(tree_pid "$COUNTY")"
within "$PATIENCE" "it reloads" says "$COUNTY" 'RELOAD .*renewed' "$from"
kill "$(tree_pid "$COUNTY")"
within "$PATIENCE" "it ends" tree_gone "$(tree_pid "$COUNTY")" 1
check "a clean end" tree_stop "$COUNTY"
release_commits
start "$COUNTY"

load_ends
check "equal everywhere" equal
check "everything acknowledged is there" acked "$PROVINCE" "$COUNTY" "$TOWN"
check "nothing twice" holds_rows "$VILLAGE" $(($(batches "$VILLAGE") * ROWS))
for node in "$PROVINCE" "$CITY" "$COUNTY"; do
    check "scrub at $node" node_cmd "$node" scrub >/dev/null
done
