#!/usr/bin/env bash
# kill -9 of any node at random moments under load: nothing acknowledged is
# missing at any tier, nothing is there twice, every tier equals the origins.
#   test_kill.sh [KILLS] [SUITE]
. "$(dirname "$0")/lib.sh"

KILLS=${1:-100}
ROWS=40 # a batch that is entered again until it is acknowledged as a whole
nodes=("$PROVINCE" "$CITY" "$COUNTY" "$TOWN" "$VILLAGE" "$VILLAGE2")

make_line "${2:-intl}"
add_node "$VILLAGE2" village "$TOWN"
for node in "${nodes[@]}"; do set_option "$node" replication.segment="4 KiB"; done
start_all

# CODE: enters batch after batch; one that broke off is entered again. How many
# were acknowledged stands in $WORK/batches.CODE.
enter_for_ever() {
    local code=$1 batch=0
    while [ ! -e "$WORK/enough" ]; do
        if enter "$code" $((batch * ROWS + 1 + 10#${code:11:1} * 1000000)) $ROWS \
            2>/dev/null; then
            batch=$((batch + 1))
            echo $batch >"$WORK/batches.$code"
        else
            sleep 0.02
        fi
    done
}
enter_for_ever "$VILLAGE" &
load1=$!
enter_for_ever "$VILLAGE2" &
load2=$!
PROCESSES+=("$load1" "$load2")

RANDOM=${SEED:=$$}
note "seed $SEED"
for ((i = 1; i <= KILLS; i++)); do
    victim=${nodes[RANDOM % ${#nodes[@]}]}
    sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
    kill_node "$victim"
    # Sometimes its parent, or child, too; sometimes it stays away a while.
    case $((RANDOM % 5)) in
    0)
        second=${nodes[RANDOM % ${#nodes[@]}]}
        if [ "$second" != "$victim" ]; then
            kill_node "$second"
            start "$second"
        fi
        ;;
    1) sleep 0.2 ;;
    esac
    start "$victim"
    [ $((i % 20)) -ne 0 ] || note "$i kills, $(own_size "$VILLAGE") entries"
done

: >"$WORK/enough"
wait "$load1" "$load2"
check "equal everywhere" equal
for code in "$VILLAGE" "$VILLAGE2"; do
    # A batch that was entered again has each row twice here.
    sort -u -o "$WORK/acked/$code" "$WORK/acked/$code"
done
check "everything acknowledged is there" acked "$PROVINCE" "$TOWN"
for code in "$VILLAGE" "$VILLAGE2"; do
    batches=$(cat "$WORK/batches.$code")
    note "$code: $batches batches of $ROWS rows"
    check "load went on" [ "$batches" -ge $((KILLS / 20 + 1)) ]
    # The last batch may have been cut off.
    first=$((1 + 10#${code:11:1} * 1000000))
    check "the last batch" enter "$code" $((first + batches * ROWS)) $ROWS
    check "nothing twice at $code" holds_rows "$code" $(((batches + 1) * ROWS))
done
check "equal at the end" equal
for node in "${nodes[@]}"; do
    check "scrub at $node" node_cmd "$node" scrub >/dev/null
done
