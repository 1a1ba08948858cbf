#!/usr/bin/env bash
# Two tails of one log, both signed: the first holder that sees it stops that
# log, keeps both heads and raises the alarm; other logs go on.
#   test_fork.sh longer|shorter: the tail that the township holds
. "$(dirname "$0")/lib.sh"

allow SYNC-FORKED STORE-FORKED SYNC-DIFFERS
how=${1:-longer}
first=80 second=120
[ "$how" = longer ] || first=120 second=80
make_small
add_node "$VILLAGE2" village "$TOWN"
make_relay "$TOWN"
start_all
check "import" enter "$VILLAGE" 1 100
check "import" enter "$VILLAGE2" 501 50
check "equal" equal
stop "$VILLAGE"
stop "$TOWN"
cp -a "$TREE/$VILLAGE/data" "$WORK/village"
cp -a "$TREE/$TOWN/data" "$WORK/town"
start "$TOWN"
start "$VILLAGE"
check "the tail that the county gets" enter "$VILLAGE" 101 $first
check "equal" equal
log=$(own_log "$VILLAGE")

# Township and village are both put back; the village writes another tail, of
# which the county hears only from the township.
line "$TOWN" cut
stop "$VILLAGE"
stop "$TOWN"
rm -rf "${TREE:?}/$TOWN/data" "${TREE:?}/$VILLAGE/data"
mv "$WORK/village" "$TREE/$VILLAGE/data"
mv "$WORK/town" "$TREE/$TOWN/data"
start "$TOWN"
start "$VILLAGE"
check "the other tail" enter "$VILLAGE" 301 $second
check "equal below the cut" equal "$TOWN" "$VILLAGE"
line "$TOWN" join

forked() { [ "$(logs_of "$1" "select(.log == \"$log\") | .state")" = forked ]; }
within "$PATIENCE" "the township stops the log" forked "$TOWN"
within "$PATIENCE" "the township raises the alarm" is "$TOWN" .health.state alarm
within "$PATIENCE" "by name" says "$TOWN" "STORE-FORKED.*$log.*two different heads of size"
node_cmd "$TOWN" logs --state forked >&2
check "the county's copy stays what it was" [ "$(size_at "$COUNTY" "$log")" = $((first + 103)) ]
check "other logs go on" enter "$VILLAGE2" 551 50
caught_up() { [ "$(size_at "$COUNTY" "$(own_log "$VILLAGE2")")" = "$(own_size "$VILLAGE2")" ]; }
within "$PATIENCE" "the other village is not held up" caught_up
check "the village goes on entering" enter "$VILLAGE" 601 10
# Stopped for good: also after a restart.
stop "$TOWN"
start "$TOWN"
check "still stopped" forked "$TOWN"
