#!/usr/bin/env bash
# demo.sh - a real hierarchy of nodes on this machine, from one command.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: simulate/demo.sh [options]

Installs what is missing, builds a release, makes a federation CA and
certificates, starts a hierarchy of separate creditnode processes on loopback,
enters sample files at villages and counties, and shows a live table until
every record is proven equal at the province. Stays until Ctrl-C.

  --once           end with status 0 when everything is proven equal
  --area CODE      root of the area, 2 to 12 digits of a division code in
                   simulate/area (default 3418, Xuancheng): what is above it,
                   and a slice of what lies below
  --counties N     counties below a city (default 2)
  --townships N    townships of each county (default 2)
  --villages N     villages of each township (default 2)
  --suite SUITE    intl (default) or gm
  --dir DIR        keep the tree there (default: a temporary folder)
  --no-build       use the program built before

After an area of your own was cut with simulate/area/make-area.sh, name its
file with --table FILE.
EOF
}

here=$(cd "$(dirname "$0")" && pwd)
. "$here/setup.sh"

once=0 area=3418 counties=2 townships=2 villages=2 dir='' build=1
table=$here/area suite=intl
while [ $# -gt 0 ]; do
    case $1 in
    --once | --no-build | -h | --help) ;;
    *) [ $# -ge 2 ] || { say "$1: unknown, or its value is missing" && usage >&2 && exit 2; } ;;
    esac
    case $1 in
    --once) once=1 ;;
    --area) area=$2 && shift ;;
    --counties) counties=$2 && shift ;;
    --townships) townships=$2 && shift ;;
    --villages) villages=$2 && shift ;;
    --suite) suite=$2 && shift ;;
    --dir) dir=$2 && shift ;;
    --table) table=$2 && shift ;;
    --no-build) build=0 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

[ "$build" = 0 ] || {
    setup_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}"
    setup_build release -DCREDITNODE_TESTS=OFF
}
CREDITNODE=${CREDITNODE:-$ROOT/build/release/node/creditnode}
CREDITSIM=${CREDITSIM:-${CREDITNODE%/node/creditnode}/simulate/creditsim}

work=$(mktemp -d /var/tmp/creditnode-demo.XXXXXX)
TREE=${dir:-$work/tree}
idle='' sim=''
finish() {
    [ -z "$idle" ] || kill "$idle" 2>/dev/null || true
    # The nodes end cleanly before it does.
    [ -z "$sim" ] || { kill "$sim" 2>/dev/null && wait "$sim"; } || cat "$work/said" "$work/report" >&2
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- the nodes: a run of the simulator that does nothing but stay ----
case $(printf '%s' "$area" | sed 's/\(00\)*$//' | wc -c) in
0 | 1) below=1,1,$counties,$townships,$villages ;;
2) below=1,$counties,$townships,$villages ;;
4) below=$counties,$townships,$villages ;;
6) below=$townships,$villages ;;
*) below=$villages ;;
esac
started=$(date +%s%N)
keep=()
[ -z "$dir" ] || keep=(--keep)
"$CREDITSIM" run --area "$area" --table "$table" --below "$below" --suite "$suite" \
    --node "$CREDITNODE" --dir "$TREE" --seconds 0 --faults none --attach \
    "${keep[@]}" >"$work/report" 2>"$work/said" &
sim=$!
until [ -e "$TREE/attached" ]; do
    kill -0 "$sim" 2>/dev/null || { cat "$work/said" "$work/report" >&2 && sim='' && exit 1; }
    sleep 0.05
done
mapfile -t nodes <"$TREE/order"
tree_conf() { printf '%s/%s/node.cfg' "$TREE" "$1"; }
at_tier() { # TIER: codes of the tree's nodes of that tier
    local c
    for c in "${nodes[@]}"; do
        ! grep -q "^ *tier = \"$1\";" "$(tree_conf "$c")" || echo "$c"
    done
}
mapfile -t at_county < <(at_tier county)
mapfile -t at_village < <(at_tier village)
say "${#nodes[@]} nodes are up, $((($(date +%s%N) - started) / 1000000)) ms after the start"

# ---- records: sample files at villages and counties ----
samples=$here/samples
enter() { # CODE FILE: rows may be refused, that is what dirty files are for
    local rc=0
    "$CREDITNODE" import -c "$(tree_conf "$1")" --lang "${lang}" --quiet "$2" || rc=$?
    [ "$rc" -eq 0 ] || [ "$rc" -eq 3 ]
}
lang=en
case ${LC_ALL:-${LANG:-}} in zh*) lang=zh ;; esac
# Part K of N of a sample, so that no two offices enter the same decision: the
# header, then every Nth row. A quoted field may hold line breaks.
part() { # FILE N K
    awk -v n="$2" -v k="$3" '
        {row = row $0 "\n"; quotes += gsub(/"/, "\"")}
        quotes % 2 == 0 {if (!head) {printf "%s", row; head = 1} \
            else if (i++ % n == k) printf "%s", row; row = ""}' "$1"
}

say "entering sample files"
for i in "${!at_village[@]}"; do
    part "$samples/licences-2018-utf8bom.csv" "${#at_village[@]}" "$i" >"$work/licences-${at_village[$i]}.csv"
    enter "${at_village[$i]}" "$work/licences-${at_village[$i]}.csv"
done
kinds=(penalties-2018-gb18030.csv penalties-2016.csv)
for i in "${!at_county[@]}"; do
    [ "$i" -lt ${#kinds[@]} ] || break
    enter "${at_county[$i]}" "$samples/${kinds[$i]}"
done
[ ${#at_county[@]} -eq 0 ] || enter "${at_county[0]}" "$samples/licences-dirty.csv"

confs=()
for node in "${nodes[@]}"; do confs+=("$(tree_conf "$node")"); done
"$CREDITNODE" watch --lang "$lang" --until-equal 60 --interval 200 "${confs[@]}"
say "every record is proven equal at the province, $((($(date +%s%N) - started) / 1000000)) ms after the start"

subject=$(awk -F, 'NR == 1 {sub(/^\xef\xbb\xbf/, "")} {
    for (i = 1; i <= NF; i++) if (length($i) == 18 && $i ~ /^9[1-3][0-9A-Z]+$/) {print $i; exit}}' \
    "$samples/licences-2018-utf8bom.csv")
province=$(at_tier province)
top=${province:-${nodes[0]}}
"$CREDITNODE" query -c "$(tree_conf "$top")" --lang "$lang" --limit 1 "$subject" >/dev/null
cat <<EOF

Try:
  $CREDITNODE query -c $(tree_conf "$top") $subject
  $CREDITNODE status -c $(tree_conf "${at_county[0]:-$top}")
  $CREDITNODE verify -c $(tree_conf "${nodes[-1]}")
EOF
[ "$once" = 1 ] && exit 0
say "Ctrl-C ends the demonstration"
# In the background: bash takes no signal while it waits for a program.
sleep infinity &
idle=$!
wait "$idle"
