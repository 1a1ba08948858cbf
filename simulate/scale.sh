#!/usr/bin/env bash
# scale.sh - what nodes and records cost, for docs/scale.md.
#
#   simulate/scale.sh [--nodes "1 10 100 1000"] [--children "100 500 2000"]
#                     [--records "10000 100000 1000000"]
#
# Grows a tree, then the children of one parent, then the records of one office
# ("": not that), and prints for each size what
# does not depend on how busy the machine is: memory, descriptors, processor
# time, bytes on disk and on the line. Needs a release built with its tests
# (bench_gen makes the rows), jq and ss; 1,000 nodes need 5 GB.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
nodes='1 10 100 1000' children='100 500 2000' records='10000 100000 1000000'
while [ $# -gt 0 ]; do
    case $1 in
    --nodes) nodes=$2 && shift ;;
    --children) children=$2 && shift ;;
    --records) records=$2 && shift ;;
    *) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0" && exit 2 ;;
    esac
    shift
done
build=${BUILD:-$ROOT/build/release}
sim=$build/simulate/creditsim node=$build/node/creditnode
gen=$build/tests/bench/bench_gen
work=$(mktemp -d /var/tmp/creditsim-scale.XXXXXX)
pid=
trap '[ -z "$pid" ] || { kill "$pid" && wait "$pid"; } || true; rm -rf "$work"' EXIT

shape() { # NODES: three levels that have about so many
    case $1 in
    1) echo 1 ;;
    10) echo 1,3,6 ;;
    100) echo 1,9,90 ;;
    1000) echo 1,10,90,899 ;;
    *) echo "$1: 1, 10, 100 or 1000" >&2 && exit 2 ;;
    esac
}

echo "nodes | private KiB a node, mean | of the top | processor ms a node until all is equal | of the top | descriptors of the top"
for n in $nodes; do
    "$sim" run --shape "$(shape "$n")" --seconds 0 --faults none --patience 600 --json \
        >"$work/report" 2>/dev/null
    jq -r '.usage_end as $u | [.nodes, $u.all.private_kb_mean, $u.province.private_kb_mean,
        $u.all.cpu_ms_mean, $u.province.cpu_ms_mean, $u.province.descriptors_most] |
        map(tostring) | join(" | ")' "$work/report"
done

# ---- children of one parent ----
echo
echo "children | private KiB each | descriptors | threads | processor ms to join, each | bytes up | down | processor us a record | a directive, each child | a receipt, first | later | ms a minute at rest, each | all joined after s"
for n in $children; do
    "$sim" crowd --children "$n" --patience 900 --json 2>/dev/null |
        jq -r '[.children, .private_kib_a_child, .descriptors, .threads,
            .join_cpu_ms_a_child, .bytes_up_a_child, .bytes_down_a_child,
            .record_cpu_us, .directive_cpu_us_a_child, .first_receipt_cpu_us,
            .receipt_cpu_us, .quiet_cpu_ms_a_child_minute, .join_s] |
            map(. * 100 | round / 100 | tostring) | join(" | ")'
done

# ---- records of one office, three tiers ----
[ -n "$records" ] || exit 0
"$sim" run --shape 1,1,1 --seconds 0 --faults none --attach --dir "$work/tree" \
    >"$work/said" 2>&1 &
pid=$!
until [ -e "$work/tree/attached" ]; do
    kill -0 "$pid" || { cat "$work/said" && exit 1; }
    sleep 0.1
done
mapfile -t code <"$work/tree/order" # top, middle, office
conf() { echo "$work/tree/$1/node.cfg"; }
process() { pgrep -f "serve -c $(conf "$1")"; }
size() { # NODE LOG: entries it has
    "$node" logs --json -c "$(conf "$1")" | jq -r --arg l "$2" '.rows[] | select(.log == $l) | .size'
}
cpu_ms() { awk '{print ($14 + $15) * 10}' "/proc/$(process "$1")/stat"; }
private() { awk '/^Private/ {s += $2} END {print s}' "/proc/$(process "$1")/smaps_rollup"; }
disk() { du -sb "$work/tree/$1/data" | cut -f1; }
# Of all connections that the node at the top took.
line_bytes() {
    local port
    port=$(sed -n '/^listen: {/,/^};/s|.*127.0.0.1:\([0-9]*\)".*|\1|p' "$(conf "${code[0]}")")
    ss -tinH "sport = :$port" | grep -o 'bytes_received:[0-9]*' | awk -F: '{s += $2} END {print s + 0}'
}
log=$("$node" logs --json -c "$(conf "${code[2]}")" | jq -r '.rows[] | select(.own and (.log | test("/records/"))) | .log')
echo
echo "records | bytes a record on disk, office | top | on the line | processor us a record, office | middle | top | private KiB, office | top"
before=0 lines=$(line_bytes)
declare -A cpu
for c in "${code[@]}"; do cpu[$c]=$(cpu_ms "$c"); done
for n in $records; do
    "$gen" --rows $((n - before)) --first $((before + 1)) >"$work/rows.csv"
    "$node" import --quiet -c "$(conf "${code[2]}")" "$work/rows.csv" >/dev/null
    wanted=$(size "${code[2]}" "$log")
    until [ "$(size "${code[0]}" "$log")" = "$wanted" ]; do sleep 0.5; done
    sleep 3 # what is merged after a commit counts as well
    used=()
    for c in "${code[2]}" "${code[1]}" "${code[0]}"; do
        now=$(cpu_ms "$c")
        used+=("$(((now - cpu[$c]) * 1000 / (n - before)))")
        cpu[$c]=$now
    done
    now=$(line_bytes)
    echo "$n | $(($(disk "${code[2]}") / n)) | $(($(disk "${code[0]}") / n)) | $(((now - lines) / (n - before))) |" \
        "${used[0]} | ${used[1]} | ${used[2]} | $(private "${code[2]}") | $(private "${code[0]}")"
    before=$n lines=$now
done
