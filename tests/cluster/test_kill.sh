#!/usr/bin/env bash
# kill -9 of any node at random moments under load: nothing acknowledged is
# missing at any tier, nothing is there twice, every tier equals the origins.
#   test_kill.sh [KILLS]
. "$(dirname "$0")/lib.sh"

KILLS=${1:-100}
ROWS=40 # a batch that is entered again until it is acknowledged as a whole
nodes=("$PROVINCE" "$CITY" "$COUNTY" "$TOWN" "$VILLAGE" "$VILLAGE2")

make_line
add_node "$VILLAGE2" village "$TOWN"
for node in "${nodes[@]}"; do set_option "$node" replication.segment="4 KiB"; done
start_all

first_of() { echo $((1 + 10#${1:11:1} * 1000000)); }
for code in "$VILLAGE" "$VILLAGE2"; do
    load_begins "$code" "$(first_of "$code")"
done

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

load_ends
check "equal everywhere" equal
for code in "$VILLAGE" "$VILLAGE2"; do
    # A batch that was entered again has each row twice here.
    sort -u -o "$WORK/acked/$code" "$WORK/acked/$code"
done
check "everything acknowledged is there" acked "$PROVINCE" "$TOWN"
for code in "$VILLAGE" "$VILLAGE2"; do
    n=$(batches "$code")
    note "$code: $n batches of $ROWS rows"
    check "load went on" [ "$n" -ge $((KILLS / 20 + 1)) ]
    # The last batch may have been cut off.
    check "the last batch" enter "$code" $(($(first_of "$code") + n * ROWS)) $ROWS
    check "nothing twice at $code" holds_rows "$code" $(((n + 1) * ROWS))
done
check "equal at the end" equal
for node in "${nodes[@]}"; do
    check "scrub at $node" node_cmd "$node" scrub >/dev/null
done
