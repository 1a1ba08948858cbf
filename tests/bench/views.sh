#!/usr/bin/env bash
# What the views for SQL cost a county that takes a full copy into MariaDB, as a
# ratio: seconds and CPU (node and server) with views over those without, in
# turn. A copy is over when the county holds every entry; the CPU of the views
# is counted until they show them all.
#
#   tests/bench/views.sh [ROWS [ROUNDS]]
#
# Needs a release build (CREDITNODE, BENCH_GEN) and a machine at rest.
. "$(dirname "$0")/../cluster/lib.sh"

ROWS=${1:-60000}
ROUNDS=${2:-3}
PATIENCE=900
TICKS=$(getconf CLK_TCK)
STORE=mariadb

ticks() { # of the county's node and of the server
    local pid sum=0 stat
    for pid in "$(tree_pid "$COUNTY")" "$SERVER_PID"; do
        read -ra stat < <(sed 's/.*) //' "/proc/$pid/stat")
        sum=$((sum + stat[11] + stat[12]))
    done
    echo $sum
}

arrived() { [ "$(size_at "$COUNTY" "$LOG")" = "$SIZE" ]; }

# on|off: prints "SECONDS TICKS SECONDS-OF-VIEWS".
round() {
    local begin copied shown before
    stop "$COUNTY"
    empty_node "$COUNTY"
    set_option "$COUNTY" mariadb.views="$1"
    before=$(awk '{print $14 + $15}' "/proc/$SERVER_PID/stat")
    begin=$(date +%s%N)
    start "$COUNTY"
    within "$PATIENCE" "full copy" arrived
    copied=$(date +%s%N)
    [ "$1" = off ] || within "$PATIENCE" "views" views_hold "$COUNTY" "$ROWS"
    shown=$(date +%s%N)
    awk -v a=$((copied - begin)) -v t=$(($(ticks) - before)) \
        -v b=$((shown - begin)) -v hz="$TICKS" \
        'BEGIN { printf "%.2f %.2f %.2f\n", a / 1e9, t / hz, b / 1e9 }'
}

median() { sort -n | sed -n "$(((ROUNDS + 1) / 2))p"; }

make_small intl
start_all
check "import" enter "$VILLAGE" 1 "$ROWS"
check "equal" equal
LOG=$(own_log "$VILLAGE")
SIZE=$(own_size "$VILLAGE")
for ((i = 1; i <= ROUNDS; i++)); do
    for views in off on; do
        round "$views" >"$WORK/figures.$views.$i"
        note "$ROWS rows, views $views: copy s, CPU s, all shown s:" \
            "$(cat "$WORK/figures.$views.$i") (load $(cut -d' ' -f1 /proc/loadavg))"
    done
done
for column in 1 2; do
    off=$(cut -d' ' -f$column "$WORK"/figures.off.* | median)
    on=$(cut -d' ' -f$column "$WORK"/figures.on.* | median)
    awk -v what="$([ $column = 1 ] && echo 'time of the copy' || echo CPU)" \
        -v off="$off" -v on="$on" 'BEGIN {
            printf "%s, medians: %.2f s without views, %.2f s with: %.2f\n",
                what, off, on, on / off }'
done
