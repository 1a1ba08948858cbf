#!/usr/bin/env bash
# The national hub's decisions go to a province that no line reaches, as a file;
# from there they go down by line. What a line would refuse, a file is refused
# for: altered, cut off, older, with a gap, forked, of elsewhere. A node killed in
# the middle of one, and a node that gets a file and the line at once, end at the
# issuer's size and root.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

HUB=000000000000
TREE_ISSUERS="$HUB:2:3 $CITY:1:1"
allow INTAKE-FORK STORE-FORKED RECEIPT-FORK
check "federation" tree_federation "$PROVINCE"
add_node "$HUB" national ''
add_node "$PROVINCE" province ''
add_node "$CITY" city "$PROVINCE"
for code in "$HUB" "$PROVINCE" "$CITY"; do
    set_option "$code" replication.renew="2 s"
    # A slow line is no dead one: its pings come behind what it carries.
    set_option "$code" rpc.keepalive_timeout="60 s"
done
make_relay "$CITY"
A=913400001000000167
B=913400001000000242
C=91340000100000032W
D=91340000100000040P
E=91340000100000059L
F=91999900MA68P03N9M
G=91999900MA78M8RM06
cd "$WORK" || exit 1
row() { # SUBJECT REASON NUMBER
    printf '示例商贸有限公司,%s,示例认〔2026〕%d号,%s,示例条例第十条,2026-03-01,2026-03-05,长期,示例部,11100000000000019F,000000,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' "$1" "$3" "$2"
}
publish() { # FILE: at the hub, by two of three
    rm -f package
    check "prepare" directive "$HUB" import "$1" -o package >out
    for n in 1 2; do
        check "signed by $n" "$CREDITNODE" directive sign package --key "$TREE/fed/deciders/$HUB-$n.key" >/dev/null
    done
    check "publish" directive "$HUB" publish package >/dev/null
}
decide() { # SUBJECT
    { echo "$LIST_HEADER"; row "$1" 示例事由 7; } >one.csv
    publish one.csv
}
many() { # COUNT: reasons that do not pack, so that it is many messages
    echo "$LIST_HEADER"
    paste -d ' ' <("$BENCH_GEN" --rows "$1" --subjects "$1" --codes) <(seq "$1") \
        <(head -c $(($1 * 120)) /dev/urandom | base64 -w 160) |
        while read -r code n reason; do row "$code" "$reason" "$n"; done
}
listed() { [ "$(node_cmd "$1" query "$2" --json 2>/dev/null | jq -r '.listings | length')" = "$3" ]; } # CODE SUBJECT COUNT
hub_log() { logs_of "$1" "select(.log | startswith(\"$HUB/directives/\")) | $2"; }                     # CODE FILTER
taken() { # CODE FILE NEW HELD
    check "take $2" directive "$1" import "$2" --json >taken
    [ "$(jq -c '[.added, .held]' taken)" = "[$3,$4]" ] || fail "took otherwise: $(cat taken)"
}
refused() { # CODE FILE PATTERN
    ! directive "$1" import "$2" >out 2>&1 || fail "taken: $2: $(cat out)"
    grep -qE -- "$3" out || fail "no reason like '$3': $(cat out)"
}

same() { # CODE: as the hub
    [ "$(hub_log "$1" '[.size, .root, .state] | join(" ")')" = "$(hub_log "$HUB" '[.size, .root, "active"] | join(" ")')" ]
}
hub_size() { hub_log "$1" .size; }
freshness() { directive "$1" lists --json | jq -r ".lists[] | select(.issuer == \"$HUB\") | .freshness"; }

note "of another federation"
ours=$TREE
federation=$TREE_FEDERATION
TREE=$WORK/hubei
TREE_FEDERATION=hubei.test
check "another federation" tree_federation
add_node "$HUB" national ''
start "$HUB"
decide "$A"
check "export" directive "$HUB" export strange >/dev/null
stop "$HUB"
TREE=$ours
TREE_FEDERATION=$federation
start_all
refused "$PROVINCE" strange "federation hubei.test, this node's is $federation"
[ -z "$(hub_size "$PROVINCE")" ] || fail "something of it was taken"

note "whole"
decide "$A"
check "export" directive "$HUB" export first >out
grep -q "entries 1 to 4 of $HUB/directives/" out || fail "export: $(cat out)"
! directive "$HUB" export first >out 2>&1 && grep -q 'is there already' out || fail "written over: $(cat out)"
taken "$PROVINCE" first 4 4
check "the province has it" listed "$PROVINCE" "$A" 1
within "$PATIENCE" "the city gets it by line" listed "$CITY" "$A" 1
[ "$(hub_log "$PROVINCE" .root)" = "$(hub_log "$HUB" .root)" ] || fail "another root"

note "again, and only what is new"
taken "$PROVINCE" first 0 4
decide "$B"
# So that the province has a head to show behind the entries that the city will
# have before it.
signed() { directive "$HUB" lists --json | jq ".lists[] | select(.issuer == \"$HUB\") | .signed_ms"; }
at=$(signed)
signed_anew() { [ "$(signed)" -gt "$at" ]; }
within "$PATIENCE" "the hub signs its head anew" signed_anew
check "the rest" directive "$HUB" export rest --from 5 >/dev/null
decide "$C"
check "all" directive "$HUB" export all >/dev/null
check "the last" directive "$HUB" export last --from 8 >/dev/null
refused "$PROVINCE" last 'begins at entry 8, this node holds 4: export it with --from 5'
refused "$CITY" last 'begins at entry 8'
! directive "$HUB" export beyond --from 12 >out 2>&1 && grep -q 'holds 10 entries' out || fail "from beyond: $(cat out)"

note "cut off and altered"
size=$(stat -c %s all)
for at in 24 100 $((size / 2)) $((size - 5)) $((size - 1)); do
    head -c "$at" all >cut
    refused "$CITY" cut 'ends in the middle; what came before is kept'
done
for at in $((size / 3)) $((size / 2)) $((size * 2 / 3)) $((size - 40)); do
    cp all altered
    printf '\xff' | dd of=altered bs=1 seek="$at" conv=notrunc status=none
    cmp -s all altered && continue
    ! directive "$CITY" import altered >out 2>&1 || fail "altered at $at: $(cat out)"
done
[ "$(hub_log "$CITY" .state)" = active ] || fail "a damaged file stopped the log"
cat all first >longer
refused "$CITY" longer 'something follows the end'

note "in pieces, and the older one changes nothing"
taken "$PROVINCE" rest 3 7
within "$PATIENCE" "the city lists B" listed "$CITY" "$B" 1
taken "$PROVINCE" last 3 10
check "the province lists C" listed "$PROVINCE" "$C" 1
taken "$PROVINCE" first 0 10
jq -e .older taken >/dev/null || fail "not said that it is older: $(cat taken)"
within "$PATIENCE" "the city lists C" listed "$CITY" "$C" 1

note "a head alone tells how fresh it is"
check "head" directive "$HUB" export head --from 11 >/dev/null
taken "$PROVINCE" head 0 10
directive "$PROVINCE" lists --json | jq -e ".lists[] | select(.issuer == \"$HUB\") | .signed_ms > 0" >/dev/null ||
    fail "no signed time: $(directive "$PROVINCE" lists --json)"

note "an export writes to a file of its own"
ln -s "$WORK/elsewhere" mine.part
! directive "$HUB" export mine >out 2>&1 && grep -q 'mine.part: is there already' out || fail "through a link: $(cat out)"
[ ! -e elsewhere ] && [ -L mine.part ] || fail "the link was followed or removed"
rm mine.part
check "export" directive "$HUB" export mine >/dev/null
[ -e mine ] && [ ! -e mine.part ] || fail "the export was not renamed"

note "killed in the middle of a big one"
stop "$CITY"
many 4000 >many.csv
publish many.csv
check "export" directive "$HUB" export big >/dev/null
size=$(stat -c %s big)
# The rest comes when the node is gone. What kind of file it is, is looked at
# first: its first line is there twice.
mkfifo slow
exec {slow}<>slow
"$CREDITNODE" directive import slow -c "$(tree_conf "$PROVINCE")" {slow}>&- >out 2>&1 &
import=$!
{ head -n 1 big; head -c $((size / 2)) big; } >&"$slow" &
PROCESSES+=($!)
part_there() { [ "$(hub_size "$PROVINCE")" -gt 10 ]; }
within "$PATIENCE" "a part of it is there" part_there
kill_node "$PROVINCE"
kill "${PROCESSES[-1]}" 2>/dev/null
exec {slow}>&-
! wait "$import" || fail "the import of a killed node went well"
start "$PROVINCE"
half=$(hub_size "$PROVINCE")
[ "$half" -gt 10 ] && [ "$half" -lt 4012 ] || fail "not in the middle: $half entries"
last=$("$BENCH_GEN" --rows 4000 --subjects 4000 --codes | tail -n 1)
listed "$PROVINCE" "$last" 0 || fail "half a package counts"
taken "$PROVINCE" big $((4012 - half)) 4012
same "$PROVINCE" || fail "not as the issuer has it"
check "it counts now" listed "$PROVINCE" "$last" 1

note "a file and the line at once"
decide "$D"
check "export" directive "$HUB" export newest >/dev/null
taken "$PROVINCE" newest 3 4015
line "$CITY" rate 30000
start "$CITY"
city_part() { [ "$(hub_size "$CITY")" -gt 10 ]; }
within "$PATIENCE" "the line brings it slowly" city_part
[ "$(hub_size "$CITY")" -lt 4000 ] || fail "the line was too fast"
refused "$CITY" big 'older than one of 4015 that is known.*import the newer file, or wait for the line'
check "the newer one" directive "$CITY" import newest --json >taken
jq -e '.held == 4015 and .added > 0 and .added < 4005' taken >/dev/null || fail "took otherwise: $(cat taken)"
same "$CITY" || fail "not as the issuer has it"
taken "$CITY" big 0 4015
jq -e .older taken >/dev/null || fail "not said that it is older: $(cat taken)"
line "$CITY" rate 0
decide "$E"
check "one more" directive "$HUB" export more --from 4016 >/dev/null

note "freshness is that of the signature, below as well"
aged() { [ $(($(date +%s) - $(stat -c %Y more))) -gt 6 ]; } # three periods
within "$PATIENCE" "the file is some seconds old" aged
taken "$PROVINCE" more 3 4018
within "$PATIENCE" "the line goes on" same "$CITY"
for code in "$PROVINCE" "$CITY"; do
    [ "$(freshness "$code")" = stale ] || fail "$code: $(freshness "$code")"
done
! says "$CITY" 'FOLLOW-(REFUSED|FORKED|ROLLBACK)' || fail "file and line were taken for a fault"

note "what does not belong here"
{ echo "$LIST_HEADER"; sed 's/,000000,/,341800,/; s/,[0-9A-Z]*,示例认/,'"$B"',示例认/' one.csv | tail -n 1; } >city.csv
check "the city decides" directive "$CITY" import city.csv --key "$TREE/fed/deciders/$CITY-1.key" --yes --publish >/dev/null
check "export" directive "$CITY" export of-city --log "$(logs_of "$CITY" "select(.own and (.log | contains(\"/directives/\"))) | .log")" >/dev/null
refused "$PROVINCE" of-city 'no authority above this node'
check "its lists are not awaited above" equal "$PROVINCE" "$CITY"
check "its own log, which it has" directive "$HUB" import all --json >taken
jq -e '.added == 0 and (.succeeded | not)' taken >/dev/null || fail "took otherwise: $(cat taken)"

note "two histories"
stop "$HUB"
keep_data "$HUB" "$PWD/back"
start "$HUB"
decide "$F"
check "one" directive "$HUB" export one --from 4019 >/dev/null
stop "$HUB"
put_back_data "$HUB" "$PWD/back"
start "$HUB"
decide "$G"
check "the other" directive "$HUB" export other --from 4019 >/dev/null
taken "$PROVINCE" one 3 4021
refused "$PROVINCE" other 'disagree|contradict|another|differ'
[ "$(hub_log "$PROVINCE" .state)" = forked ] || fail "not stopped: $(hub_log "$PROVINCE" .state)"
check "what was in force stays" listed "$PROVINCE" "$C" 1
