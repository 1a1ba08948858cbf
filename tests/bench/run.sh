#!/usr/bin/env bash
# run.sh - measures creditnode against its peer, in turn, in one run.
# What is measured how, and why so: docs/decisions/0004-benchmarks.md.
set -euo pipefail

BENCH_SOURCE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$BENCH_SOURCE/../.." && pwd)

# Bench, group, and its rows as a share of --rows.
BENCHES="
batches     chain 1
singles     chain 0.1
latency     chain 0.0015
full_copy   copy  5
fan_in      fan   1
point_query point 5
idle_memory idle  0
directive      tree    0.0005
directives_bulk tree   0.01
directive_2of3 tree2of3 0.0005
list_memory    lists   5
list_check     lists   5
"

usage() {
    cat <<HELP
usage: run.sh [OPTION]...
  --only NAME     only this bench; may be repeated. Known:
$(awk 'NF { print "                    " $1 }' <<<"$BENCHES")
  --rows N        rows of "batches", 200000 if not given; the other benches
                  scale with it
  --repeats N     how often each side is measured, in turn; 3 if not given
  --side SIDE     own, peer or both (as if not given)
  --json FILE     where the raw results go, one line of JSON each;
                  bench-TIME.jsonl in the current folder if not given
  --report FILE   measures nothing, prints the table of such a file again
  --build DIR     build folder, build/release if not given
  --dir DIR       where the servers keep their data: a real disk, no tmpfs;
                  /var/tmp if not given
  --seconds N     how long point queries run and an idle node rests; 5 if not
                  given
In the environment, BENCH_POOL=SIZE sets MariaDB's buffer pool for small
machines and trials (1G a server of the chain, 3G for full copies if not set),
BENCH_QUIET_S=N how long to wait at most for servers and disk to come to rest
before each measurement (60 if not set), BENCH_LEAVES=N the leaves of each of
the ten middles in trees (10 if not set: what the targets are about).
HELP
}

die() {
    echo "run.sh: $*" >&2
    exit 2
}

note() { echo "run.sh: $*" >&2; }

only='' rows=200000 repeats=3 side=both json='' report='' dir=/var/tmp
build=$ROOT/build/release BENCH_SECONDS=5
while [ $# -gt 0 ]; do
    [ "$1" = --help ] || [ $# -ge 2 ] || die "$1 needs a value; see --help"
    case $1 in
    --help) usage; exit 0 ;;
    --only) only+=" $2" ;;
    --rows) rows=$2 ;;
    --repeats) repeats=$2 ;;
    --side) side=$2 ;;
    --json) json=$2 ;;
    --report) report=$2 ;;
    --build) build=$2 ;;
    --dir) dir=$2 ;;
    --seconds) BENCH_SECONDS=$2 ;;
    *) die "unknown option $1; see --help" ;;
    esac
    shift 2
done

print_report() {
    jq -rs --slurpfile targets "$BENCH_SOURCE/targets.json" \
        -f "$BENCH_SOURCE/report.jq" "$1"
}

command -v jq >/dev/null || die "jq is needed (Debian: jq)"
[ -z "$report" ] || {
    print_report "$report"
    exit
}
for number in "$rows" "$repeats" "$BENCH_SECONDS"; do
    [[ $number =~ ^[1-9][0-9]{0,8}$ ]] || die "\"$number\" is not a count"
done
[ "$rows" -ge 1000 ] || die "--rows must be at least 1000"
for name in $only; do
    grep -q "^$name " <<<"$BENCHES" || die "no bench \"$name\"; see --help"
done
case $side in
both) sides='peer own' ;;
own | peer) sides=$side ;;
*) die "--side must be own, peer or both" ;;
esac
[ "$(stat -f -c %T "$dir")" != tmpfs ] ||
    die "$dir is in memory, where a sync costs nothing; give --dir"
json=${json:-bench-$(date +%Y%m%dT%H%M%S).jsonl}
BENCH_BIN=$build/tests/bench
BENCH_NODE=$build/node/creditnode
export BENCH_SOURCE BENCH_BIN BENCH_NODE BENCH_SECONDS
# shellcheck source-path=SCRIPTDIR source=peer/peer.sh
. "$BENCH_SOURCE/peer/peer.sh"
# shellcheck source-path=SCRIPTDIR source=own.sh
. "$BENCH_SOURCE/own.sh"

# Leaves in `sides` those that can be measured here.
find_sides() {
    local found='' s missing
    for s in $sides; do
        missing=$("${s}_missing")
        if [ -n "$missing" ]; then
            note "the $s side is skipped, missing: ${missing//$'\n'/ }"
        else
            found+=" $s"
        fi
    done
    sides=$found
    [ -n "$sides" ] || die "nothing to measure"
}

both_sides() { # FUNCTION ARGUMENT...: calls peer_FUNCTION and own_FUNCTION
    local s
    for s in $sides; do "${s}_$1" "${@:2}"; done
}

ticks() { # CPU time of all servers so far, in ticks
    local pid total=0 fields
    for pid in $(both_sides pids); do
        read -ra fields <"/proc/$pid/stat"
        total=$((total + fields[13] + fields[14]))
    done
    echo "$total"
}

written() { # sectors (512 bytes) written to all disks so far
    awk '{ total += $10 } END { print total }' /proc/diskstats
}

# What one side has left to write or to purge must not slow the other: at rest
# are servers that hardly compute and, with them, a disk that gets less than
# 2 MB in a second.
wait_until_quiet() {
    local busy wrote i count
    count=$(both_sides pids | wc -l)
    sync
    for ((i = 0; i < ${BENCH_QUIET_S:-60}; i++)); do
        busy=$(ticks)
        wrote=$(written)
        sleep 1
        busy=$(($(ticks) - busy))
        wrote=$(($(written) - wrote))
        [ $busy -gt $((count + 1)) ] || [ $wrote -gt 4096 ] || return 0
    done
    note "servers and disk did not come to rest in ${BENCH_QUIET_S:-60} s"
}

measure_disk() { # before each group: the disk's speed changes with the hour
    wait_until_quiet
    "$BENCH_BIN/bench_disk" "$dir/bench-disk.$$" | tee -a "$json"
}

measure() { # BENCH ROWS: in turn, so that both meet the same hour
    local i s
    for ((i = 1; i <= repeats; i++)); do
        for s in $sides; do
            wait_until_quiet
            "${s}_run" "$1" "$2" "$i" >"$scratch/result"
            jq -c --argjson repeat "$i" '. + {repeat: $repeat}' \
                "$scratch/result" | tee -a "$json"
        done
    done
}

scaled() { # SHARE: of --rows, but enough to mean something
    awk -v rows="$rows" -v share="$1" 'BEGIN {
        n = int(rows * share); print n < 20 ? 20 : n }'
}

clean_up() {
    local status=$?
    trap - EXIT
    own_end || true
    peer_end || true
    rm -rf "$scratch"
    exit "$status"
}

find_sides
exec 9>"${TMPDIR:-/tmp}/creditnode-bench.lock"
flock -n 9 || die "another benchmark runs on this machine"
scratch=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
: >"$json"
both_sides begin "$dir"

group=''
while read -r -u 3 bench its_group share; do
    [ -n "$bench" ] || continue
    [ -z "$only" ] || [[ " $only " == *" $bench "* ]] || continue
    count=$(scaled "$share")
    if [ "$its_group" != "$group" ]; then
        both_sides down
        group=$its_group
        note "group $group"
        # The point and copy groups are loaded when they come up.
        both_sides up "$group" "$count"
        measure_disk
    fi
    measure "$bench" "$count"
done 3<<<"$BENCHES"
both_sides down
print_report "$json"
note "raw results: $json"
