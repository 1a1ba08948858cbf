#!/usr/bin/env bash
# Bits flip in a county's database, in what its server takes for sound: in the
# last block of each log while the county is down, of which its start reads the
# own; and in one in the middle, which a scrub finds, and the county ends with
# status 5. Either start mends the database where it is: what can be proven
# stays, the township sends the rest, and nothing acknowledged is missing.
. "$(dirname "$0")/lib.sh"

STORE=mariadb
make_small
allow STORE-DAMAGED STORE-CORRUPT STORE-FAULT SYNC-UNREADABLE STORE-REBUILD \
    STORE-BACKGROUND
ROWS=2000
start_all
for first in 1 1001; do
    check "import" enter "$VILLAGE" "$first" 1000
done
check "equal" equal

flip_blocks() { # WHICH: a condition
    check "flip" server_sql "UPDATE cn_$COUNTY.cn_block SET
        v=INSERT(v,LENGTH(v) DIV 2,1,CHAR(ASCII(SUBSTR(v,LENGTH(v) DIV 2,1))^16))
        WHERE (log,first) IN (SELECT * FROM
            (SELECT log, $1 FROM cn_$COUNTY.cn_block GROUP BY log) AS some)"
}

ended() { ! tree_alive "$COUNTY"; }
quiet() { is "$COUNTY" .health.state ok; }
shown() { views_hold "$COUNTY" "$1"; }

# COUNT: all is as it was, and stays so when more comes in.
is_whole() {
    check "it was mended" says "$COUNTY" 'STORE-REBUILD .*result=ok' "$from"
    check "something was lost here" \
        says "$COUNTY" 'STORE-REBUILD .*log=.* lost=[1-9]' "$from"
    check "more rows" enter "$VILLAGE" $((ROWS + 1)) 100
    ROWS=$((ROWS + 100))
    check "equal again" equal
    check "all of it" acked "$COUNTY" "$TOWN"
    check "scrub" node_cmd "$COUNTY" scrub >/dev/null
    within "$PATIENCE" "the county is well" quiet
    within "$PATIENCE" "the views hold each row once" shown $ROWS
}

note "the last blocks, and the county is down"
stop "$COUNTY"
flip_blocks "MAX(first)"
from=$(log_end "$COUNTY")
start "$COUNTY"
is_whole

note "one in the middle, and the county is at work"
flip_blocks "MIN(IF(first>900,first,NULL))"
from=$(log_end "$COUNTY")
node_cmd "$COUNTY" scrub >/dev/null 2>&1
within "$PATIENCE" "the county ends by itself" ended
rc=0
wait "$(tree_pid "$COUNTY")" || rc=$?
rm -f "$TREE/$COUNTY/pid"
check "exit status 5" [ "$rc" = 5 ]
check "damage is named" says "$COUNTY" 'STORE-DAMAGED .*number' "$from"
start "$COUNTY"
is_whole
