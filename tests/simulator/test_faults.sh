#!/usr/bin/env bash
# Faults of creditsim run: schedules as files, each kind in a run with real
# nodes, what is expected of whom, and a failing schedule made smaller.
. "$(dirname "$0")/lib.sh"

fail() {
    tail -n 40 "$work/out"
    verdict "$work/report"
    echo "FAIL: $*"
    exit 1
}
sim() { # ARGS...: its output in $work/out
    rm -f "$work/report"
    "$sim" run "$@" >"$work/out" 2>&1
}
says() { grep -qF -- "$1" "$work/out" || fail "no \"$1\""; }
is() { # FILTER VALUE
    [ "$(jq -r "$1" "$work/report")" = "$2" ] || fail "$1 is not $2"
}
run() { # ARGS...: a run; its report in $work/report
    "$sim" run --json --rows 5 "$@" >"$work/report" 2>"$work/out"
}

# ---- schedules ----

sim --faults list || fail "list"
kinds=$(awk 'NR > 1 {print $1}' "$work/out")
sim --plan --seed 7 --every 2 --seconds 1500 --shape 1,2,4 --old "$node" || fail "plan"
cp "$work/out" "$work/plan"
for kind in $kinds; do
    grep -q " $kind " "$work/plan" || fail "$kind was not planned"
done
sim --plan --replay "$work/plan" || fail "its own plan is not taken"
cmp -s "$work/out" "$work/plan" || fail "read and written it is another"
# A node with an earlier program is upgraded, once, and no other.
sim --plan --seed 7 --every 1 --seconds 60 --shape 1,2,4 --faults upgrade --old "$node:50" || fail "plan"
[ "$(grep -c ' upgrade ' "$work/out")" = 3 ] &&
    [ "$(awk '/ upgrade / {print $4}' "$work/out" | sort -u | wc -l)" = 3 ] ||
    fail "not each of three old nodes once: $(cat "$work/out")"
sim --plan --seed 8 --every 2 --seconds 1500 --shape 1,2,4
! cmp -s "$work/out" "$work/plan" || fail "two seeds, one plan"

bad() { # LINE TEXT: the file is refused with this text
    printf 'creditsim-faults 1\noption shape 1,1\n%s\n' "$1" >"$work/bad"
    sim --plan --replay "$work/bad"
    [ $? = 2 ] || fail "taken: $1"
    says "$work/bad:3: $2"
}
bad 'x 100 kill 340100000000' 'AT: milliseconds'
bad '100 99999999999 kill 340100000000' 'FOR: milliseconds'
bad '100 100 kil 340100000000' 'KIND: one of'
bad '100 100 kill 34010000000' "CODE: a node's 12 digits"
bad '100 100 kill 349900000000' 'CODE: no node of the tree'
bad '100 100 cut 340000000000' 'CODE: this kind needs a node with a parent'
bad '100 100 reconnect 340100000000' 'CODE: this kind needs a node with'
bad '100 100 clock 340100000000' 'AMOUNT: this kind needs a number'
bad '100 100 kill 340100000000 5' 'AMOUNT: this kind has none'
bad '100 100 clock 340100000000 5 5' 'end of line: nothing follows'
bad 'option keep yes' 'option keep: not one that a file may have'
bad 'option rows 0' 'option rows: "0" is not possible'
bad 'option rows' 'option: a name and a value'
printf 'creditsim-faults 1\noption shape 1,1\n1 9 kill 340100000000\n5 9 freeze 340100000000\n' >"$work/bad"
sim --plan --replay "$work/bad"
[ $? = 2 ] || fail "two faults of one process were taken"
says "$work/bad:4: AT: the fault of line 3 has not ended"
printf 'creditsim-faults 2\n' >"$work/bad"
sim --plan --replay "$work/bad"
[ $? = 2 ] && says "$work/bad:1: first line" || fail "another format was taken"
for no in '--faults nonsense' '--every 0' '--every x' "--replay $work/none" "--old $work/none" "--old $node:0"; do
    # shellcheck disable=SC2086 # an option and its value
    sim $no
    [ $? = 2 ] || fail "$no was taken"
done

# ---- each kind ----

province=340000000000 city=340100000000 one=340101000000 two=340102000000
cat >"$work/all" <<END
creditsim-faults 1
option shape 1,1,2
option seconds 22
option old $node:100
200    600 kill         $province
1500   500 restart      $province
3000  1000 freeze       $province
6000  2000 full         $province
10000 2000 clock        $province -86400
14000 1000 read-only    $province
200   3000 restore      $city
4500   100 upgrade      $city
7000  1500 flip         $city
11500 1500 partition    $city
14000 2000 clone        $city
18000  600 reconnect    $city
19500 1000 fork         $city
200   1500 cut          $one
2500  1500 silent       $one
4500  1500 one-way-up   $one
6500  1500 one-way-down $one
9000  1500 lie          $one 0
13000 1500 wrong        $one
15500 1500 revoked      $one
200   1500 slow         $two
2000  1500 narrow       $two
4000  1500 lossy        $two
6000  4500 expired      $two
11500 1500 clock        $two 3600
13500 2000 full         $two
END
for kind in $kinds; do
    grep -q " $kind " "$work/all" || fail "$kind is in no run"
done
# One after the other: on a slow machine they take longer than planned.
run --replay "$work/all" --patience 400 || fail "it does not hold"
is .holds true
is .faults_left_out 0
is .faults_done 26
is .upgrades 1
"$sim" html "$work/report" "$work/page.html" || fail "no page"
for kind in $kinds; do # in words of the page's language
    ! grep -q "· $kind<" "$work/page.html" || fail "the page has no word for $kind"
done
[ "$(grep -o '· [^<]*<' "$work/page.html" | wc -l)" -ge 26 ] || fail "not all faults are on the page"
[ "$(jq .acknowledged "$work/report")" -gt 0 ] || fail "nothing was entered"
[ "$(jq .threads_max "$work/report")" -gt 1 ] || fail "no process was looked at"

# ---- what is expected, and of whom ----

faults() { # LINE...: a schedule of a small tree
    rm -f "$work/report"
    printf 'creditsim-faults 1\noption shape 1,1\noption seconds 3\n' >"$work/few"
    printf '%s\n' "$@" >>"$work/few"
}
# An error that a full disk brings is none where the disk is not full.
# shellcheck disable=SC2016 # for the program that is written
spoiled '[[ "$1" != serve || "$*" != *3401* ]] || echo "2026-01-01T00:00:00Z error STORE-FULL planted=1" >&2'
faults "2000 100 full $province"
run --node "$work/node" --replay "$work/few"
[ $? = 1 ] || fail "not caught: an error line of another"
is .broken error-line
# shellcheck disable=SC2016
spoiled '[ "$1" != serve ] || for ((fd = 100; fd < 600; fd++)); do eval "exec $fd</dev/null"; done'
run --node "$work/node" --replay "$work/few"
[ $? = 1 ] || fail "not caught: descriptors without end"
is .broken bounded
# Where nothing can be written, files beside the store cannot either.
# shellcheck disable=SC2016
spoiled '[[ "$1" != serve || "$*" != */'$province'/* ]] || for ((i = 0; i < 300; i++)); do
    sleep 0.1
    ! dd if="$0" of="$(dirname "$3")/probe" bs=1 count=1 oflag=append conv=notrunc status=none 2>/dev/null || continue
    echo "2026-01-01T00:00:00Z error INDEX-KEY planted=1" >&2
    : >"$0.said"
    break
done &'
faults "1000 2000 full $province"
run --node "$work/node" --replay "$work/few" || fail "an error of a full disk breaks the run"
[ -e "$work/node.said" ] || fail "nothing was said at a full disk"

# ---- a clock that was wrong ----

# What was refused meanwhile, above and below, comes by itself soon after.
cat >"$work/clock.cfg" <<'END'
title = { zh = "测试"; en = "a test"; };
acts = (
    { act = "import"; tiers = ["city"]; per_minute = 120.0; rows = 5; },
    { act = "directive"; tiers = ["province"]; per_minute = 60.0; rows = 2; }
);
END
faults "option profile $work/clock.cfg" "option seconds 14" \
    "2000 4000 clock $province -86400" "8000 5000 clock $city -86400"
run --replay "$work/few" --patience 90 || fail "not equal after a clock was right again"

# ---- an old program in the mix ----

# Who runs what is seen by the system, while the tree stays.
cp "$node" "$work/old"
faults "option old $work/old:100" "500 100 upgrade $city"
"$sim" run --replay "$work/few" --rows 5 --attach --dir "$work/mixed" >"$work/out" 2>&1 &
pid=$!
for ((i = 0; i < 2400; i++)); do [ ! -e "$work/mixed/attached" ] || break; sleep 0.05; done
runs() { # CODE: the program of its node
    readlink "/proc/$(pgrep -f "serve -c $work/mixed/$1/node.cfg")/exe"
}
[ "$(runs $province)" = "$work/old" ] || fail "the province runs $(runs $province)"
[ "$(runs $city)" = "$(realpath "$node")" ] || fail "the city runs $(runs $city)"
kill "$pid"
wait "$pid" || fail "a mix of programs does not hold"
says 'all held'

# ---- fewer faults ----

# A node that cannot be started a second time.
# shellcheck disable=SC2016
spoiled 'if [[ "$1" == serve && "$*" == *3401* ]]; then
    [ ! -e "$(dirname "$3")/again" ] || exit 9
    : >"$(dirname "$3")/again"
fi'
faults "100 200 cut $city" "300 100 kill $city" "500 100 slow $city"
"$sim" run --node "$work/node" --replay "$work/few" --rows 5 --shrink \
    --dir "$work/tree" >"$work/out" 2>&1
[ $? = 1 ] || fail "not caught: no second start"
says 'BROKEN clean-exit at 340100000000'
says 'last events:'
says 'kill -9 340100000000'
says 'with the fewest faults: 1 of 3'
says "creditsim run --replay $work/tree.faults"
grep -qx "300 100 kill $city" "$work/tree.faults" &&
    [ "$(grep -cE '^[0-9]' "$work/tree.faults")" = 1 ] ||
    fail "not the one that breaks it: $(cat "$work/tree.faults")"
sim --node "$work/node" --replay "$work/tree.faults"
[ $? = 1 ] && says 'BROKEN clean-exit' || fail "its own schedule does not repeat it"
echo PASS
