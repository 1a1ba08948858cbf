#!/usr/bin/env bash
# A node with a fault built in (planted.c) is caught, by the name of what does
# not hold; and what a fault of the schedule excuses, excuses nothing else.
. "$(dirname "$0")/lib.sh"
planted=${PLANTED:?the node with plants}

fail() { # NAME TEXT
    tail -n 20 "$work/$1.said"
    verdict "$work/$1.out"
    echo "FAIL: $1 $2"
    exit 1
}

province=340000000000 city=340100000000 county=340101000000

# Listings by two of three deciders, removals, checks, feedback, a few rows.
cat >"$work/lists.cfg" <<'EOF'
title = { zh = "名单"; en = "lists"; };
deciders = 2;
acts = (
    { act = "directive"; tiers = ["province"]; per_minute = 30.0; rows = 3; },
    { act = "removal"; tiers = ["province"]; per_minute = 30.0; },
    { act = "feedback"; tiers = ["county"]; per_minute = 30.0; },
    { act = "check"; tiers = ["county"]; per_minute = 240.0; rows = 2; },
    { act = "import"; tiers = ["county"]; per_minute = 60.0; rows = 20; }
);
EOF

# Rows about persons, and questions about them.
cat >"$work/persons.cfg" <<'EOF'
title = { zh = "自然人"; en = "persons"; };
persons = 50;
acts = (
    { act = "import"; tiers = ["county"]; per_minute = 60.0; rows = 10; dirty = 20; },
    { act = "query"; tiers = ["county"]; per_minute = 60.0; }
);
EOF

# So many runs at a time; their nodes wait more than they work.
at_once=5 running=0
# NAME NODE SECONDS FAULT...: a run of three nodes with this program, in the
# background: its report is $work/NAME.out. On a slow machine what is to be caught
# comes later, so what holds is run again, longer, and what was not ready or not
# equal in time with more of it. $plant, if it is not called NAME;
# $profile, if it is not that of lists; $shape, if not three nodes.
begin() {
    local name=$1 program=$2 seconds=$3 slower
    shift 3
    if [ $running -eq $at_once ]; then wait -n; else running=$((running + 1)); fi
    for slower in 1 2 4; do
        printf 'creditsim-faults 1\noption shape %s\noption seconds %s\noption profile %s\n' \
            "${shape:-1,1,1}" $((seconds * slower)) "$work/${profile:-lists}.cfg" >"$work/$name.faults"
        printf '%s\n' "$@" | awk -v by=$slower 'NF {$1 *= by; $2 *= by; print}' >>"$work/$name.faults"
        CREDITNODE_PLANT=${plant:-$name} "$sim" run --node "$program" --json \
            --patience $((${patience:-120} * slower)) \
            --replay "$work/$name.faults" >"$work/$name.out" 2>"$work/$name.said"
        echo $? >"$work/$name.rc"
        case $(jq -r .broken "$work/$name.out") in
        "" | ready | converged) ;;
        *) break ;;
        esac
    done &
}
caught() { # NAME INVARIANT [NODE]
    [ "$(cat "$work/$1.rc")" = 1 ] || fail "$1" "was not caught"
    [ "$(jq -r .broken "$work/$1.out")" = "$2" ] || fail "$1" "was not called $2"
    [ $# -lt 3 ] || [ "$(jq -r .node "$work/$1.out")" = "$3" ] || fail "$1" "was not found at $3"
}
# NAME BODY: such a program as spoiled makes.
program() {
    spoiled "$2"
    mv "$work/node" "$work/$1.node"
}
# NAME SED: the second receipt of each import becomes another.
receipts() {
    # shellcheck disable=SC2016 # for the program that is written
    program "$1" 'if [ "$1" = import ]; then
        "$node" "$@"; rc=$?
        for last; do :; done
        sed -i -E "'"$2"'" "$(dirname "$last")/receipts.csv"
        exit $rc
    fi'
}

# ---- invariants ----

# The line stays, and nothing comes: what was decided meanwhile is missing.
begin stale-as-fresh "$planted" 25 "6000 18000 freeze $city"
plant=stale-as-fresh begin withheld "$planted" 25 "6000 18000 one-way-down $county"
begin unlisted "$planted" 12 "1000 3000 restore $city"
begin skip-root "$planted" 10 "5000 3000 lie $county 0"

# shellcheck disable=SC2016 # for the program that is written
program sanitizer '[[ "$*" != serve*'$county'* ]] || echo "==1==ERROR: AddressSanitizer: planted" >&2'
begin sanitizer "$work/sanitizer.node" 3
# shellcheck disable=SC2016
program answers '[[ "$*" != serve*'$county'* ]] || set -- "$@" --set admin.socket="$0.elsewhere"'
patience=40 begin answers "$work/answers.node" 3
begin still-listed "$planted" 12
# shellcheck disable=SC2016
program effects '[ "$1" != feedback ] || exit 0'
begin effects "$work/effects.node" 12

begin head-unseen "$planted" 10 "3000 4000 lie $county 6"
shape=1,1,2 patience=40 begin fork-unseen "$planted" 5 "1000 1000 fork $city"
profile=persons begin unmasked "$planted" 5
# shellcheck disable=SC2016 # for the program that is written
program said '[[ "$*" != serve*'$county'* ]] || echo "2026-01-01T00:00:00Z info TEST name=赵拟名安" >&2'
profile=persons begin said "$work/said.node" 5
# An import that is entered once more, as one that was broken off is.
# shellcheck disable=SC2016
node=$planted program twice '[ "$1" != import ] || "$node" "$@"'
begin twice "$work/twice.node" 8
# The same, and only the logs show it: also of an office that was put back.
begin again "$work/twice.node" 8
plant=again begin again-back "$work/twice.node" 10 "4000 5000 restore $county"

# ---- what is not excused ----

# A log that is put back is no fork, as long as those above it were not too.
patience=40 begin fork "$planted" 10 "4000 5000 restore $county"
# A record that was above when the store was put back.
receipts lost '2s/[0-9a-f]{32}/0123456789abcdef0123456789abcdef/'
begin lost "$work/lost.node" 10 "4000 5000 restore $county"
# Another number, at an office whose store is what it was.
receipts moved '2s/,([0-9]+),/,1\1,/'
begin moved "$work/moved.node" 10 "4000 5000 restore $city"
begin half "$planted" 12

wait
caught stale-as-fresh stale-as-fresh $county
caught withheld withheld $county
caught unlisted listed
caught skip-root refused $city
caught still-listed listed
caught effects effects $province
caught sanitizer sanitizer $county
caught answers answers $county
caught head-unseen withheld $city
caught fork-unseen evidence $county
caught unmasked person
caught said person $county
caught twice once
caught again once $province
caught again-back once $province
caught fork fork # at the county, or above, which is told at once
caught lost acknowledged $county
caught moved acknowledged $county
caught half whole $county
echo PASS
