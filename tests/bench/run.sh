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
apply_db       apply_db 1
batches_db     chain_db 1
point_query_db point_db 5
"

usage() {
    cat <<HELP
usage: run.sh [OPTION]...
  --only NAME     only this bench; may be repeated. Known:
$(awk 'NF { print "                    " $1 }' <<<"$BENCHES")
  --except NAME   not this bench; may be repeated
  --rows N        rows of "batches", 200000 if not given; the other benches
                  scale with it
  --repeats N     how often each side is measured, in turn; 3 if not given
  --side SIDE     own, peer or both (as if not given)
  --json FILE     where the raw results go, one line of JSON each;
                  bench-TIME.jsonl in the current folder if not given
  --report FILE   measures nothing, prints the table of such a file again
  --write-docs    puts the table, with machine and date, into
                  docs/performance.md; of a whole run only
  --build DIR     build folder, build/release if not given
  --dir DIR       where the servers keep their data: a real disk, no tmpfs;
                  /var/tmp if not given
  --seconds N     how long point queries run and an idle node rests; 5 if not
                  given
In the environment, BENCH_POOL=SIZE sets MariaDB's buffer pool for small
machines and trials (1G a server of the chain, 3G for full copies if not set),
BENCH_QUIET_S=N how long to wait at most for servers and disk to come to rest
before each measurement (60 if not set; 0: not at all). Of the own side alone,
BENCH_LEAVES=N and BENCH_MIDDLES=N are the leaves of each middle of a tree and
its middles, BENCH_CHILDREN=N the children of the fan (10 if not set: what the
targets are about), BENCH_LEAST=N the fewest rows of a bench (20).
HELP
}

die() {
    echo "run.sh: $*" >&2
    exit 2
}

note() { echo "run.sh: $*" >&2; }

only='' except='' rows=200000 repeats=3 side=both json='' report='' dir=/var/tmp docs=''
build=$ROOT/build/release BENCH_SECONDS=5
while [ $# -gt 0 ]; do
    [ "$1" = --help ] || [ "$1" = --write-docs ] || [ $# -ge 2 ] || die "$1 needs a value; see --help"
    case $1 in
    --help) usage; exit 0 ;;
    --write-docs) docs=$ROOT/docs/performance.md; shift; continue ;;
    --only) only+=" $2" ;;
    --except) except+=" $2" ;;
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

# The table between the two marks of docs/performance.md is this one.
write_docs() { # JSONL
    local mark='<!-- tests/bench/run.sh writes what follows'
    [ "$(grep -cE "^($mark|<!-- and what precedes)" "$docs")" = 2 ] ||
        die "$docs lacks the marks between which the table stands"
    print_report "$1" >"$docs.new"
    awk -v table="$docs.new" -v mark="$mark" '
        /^<!-- and what precedes/ { between = 0 }
        !between
        index($0, mark) == 1 {
            between = 1
            print ""
            while ((getline line <table) > 0) print line
            print ""
        }' "$docs" >"$docs.newer"
    rm "$docs.new"
    mv "$docs.newer" "$docs"
    note "written: docs/performance.md"
}

command -v jq >/dev/null || die "jq is needed (Debian: jq)"
[ -z "$report" ] || {
    print_report "$report"
    [ -z "$docs" ] || write_docs "$report"
    exit
}
for number in "$rows" "$repeats" "$BENCH_SECONDS"; do
    [[ $number =~ ^[1-9][0-9]{0,8}$ ]] || die "\"$number\" is not a count"
done
[ -z "$docs" ] || [ "$only$except$side" = both ] ||
    die "--write-docs is for a run of all benches and both sides"
[ "$rows" -ge 1000 ] || die "--rows must be at least 1000"
for name in $only $except; do
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

other_than() { # SIDE: the other one, if it is measured too
    local s
    for s in $sides; do [ "$s" = "$1" ] || echo "$s"; done
}

# SIDE: the servers of the other one stand still, those of this one go on.
give_machine_to() {
    local s
    for s in $(other_than "$1"); do signal_all STOP "$s"; done
    signal_all CONT "$1"
}

give_machine_to_all() {
    local s
    for s in $sides; do signal_all CONT "$s"; done
}

signal_all() { # SIGNAL SIDE
    local pid
    for pid in $("$2_processes"); do kill -"$1" "$pid" 2>/dev/null || true; done
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
    [ "${BENCH_QUIET_S:-60}" -gt 0 ] || return 0
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
    [ "${BENCH_QUIET_S:-60}" -gt 0 ] || return 0
    wait_until_quiet
    "$BENCH_BIN/bench_disk" "$dir/bench-disk.$$" | tee -a "$json"
}

# BENCH ROWS: in turn, so that both meet the same hour; all come to rest
# together, then the other side stands still.
measure() {
    local i s
    for ((i = 1; i <= repeats; i++)); do
        for s in $sides; do
            give_machine_to_all
            wait_until_quiet
            [ -z "$(other_than "$s")" ] || "${s}_ready"
            give_machine_to "$s"
            "${s}_run" "$1" "$2" "$i" >"$scratch/result"
            jq -c --argjson repeat "$i" '. + {repeat: $repeat}' \
                "$scratch/result" | tee -a "$json"
        done
    done
    give_machine_to_all
}

# Where and when, for whoever reads the figures.
describe() {
    jq -nc --arg date "$(date -u +%F)" \
        --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
        --arg cores "$(nproc)" --arg kernel "$(uname -sr | cut -d- -f1)" \
        --arg memory "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)" \
        --arg system "$(. /etc/os-release && echo "$PRETTY_NAME")" \
        --arg load "$(cut -d' ' -f1 /proc/loadavg)" \
        --arg version "$("$BENCH_NODE" --version 2>/dev/null | head -n 1)" \
        --arg peers "$(both_sides versions | paste -sd, | sed 's/,/, /g')" \
        --arg options "--rows $rows --repeats $repeats --seconds $BENCH_SECONDS" \
        '{bench: "about", peer: "", $date, $cpu, $cores, $kernel, $memory,
          $system, $load, $version, $peers, $options}'
}

scaled() { # SHARE: of --rows, but enough to mean something
    awk -v rows="$rows" -v share="$1" -v least="${BENCH_LEAST:-20}" 'BEGIN {
        n = int(rows * share); print n < least ? least : n }'
}

clean_up() {
    local status=$?
    trap - EXIT
    give_machine_to_all
    own_end || true
    peer_end || true
    rm -rf "$scratch"
    exit "$status"
}

find_sides
[ -z "$docs" ] || [ "$sides" = " peer own" ] ||
    die "--write-docs needs both sides"
exec 9>"${TMPDIR:-/tmp}/creditnode-bench.lock"
flock -n 9 || die "another benchmark runs on this machine"
scratch=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
describe >"$json"
both_sides begin "$dir"

group=''
while read -r -u 3 bench its_group share; do
    [ -n "$bench" ] || continue
    [ -z "$only" ] || [[ " $only " == *" $bench "* ]] || continue
    [[ " $except " != *" $bench "* ]] || continue
    case $its_group in
    *_db) [ -z "$(server_missing)" ] || {
        note "$bench is skipped, missing: $(server_missing | paste -sd' ')"
        continue
    } ;;
    esac
    count=$(scaled "$share")
    if [ "$its_group" != "$group" ]; then
        both_sides down
        group=$its_group
        note "group $group ($SECONDS s)"
        # The point and copy groups are loaded when they come up.
        both_sides up "$group" "$count"
        measure_disk
    fi
    measure "$bench" "$count"
done 3<<<"$BENCHES"
both_sides down
print_report "$json"
[ -z "$docs" ] || write_docs "$json"
note "raw results: $json"
