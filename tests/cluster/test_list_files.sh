#!/usr/bin/env bash
# The national hub's decisions go to a province that no line reaches, as a file;
# from there they go down by line. What a line would refuse, a file is refused
# for: altered, cut off, older, with a gap, forked, of elsewhere.
#   test_list_files.sh [SUITE]
. "$(dirname "$0")/lib.sh"

HUB=000000000000
TREE_ISSUERS="$HUB:2:3 $CITY:1:1"
TREE_SUITE=${1:-intl}
allow INTAKE-FORK STORE-FORKED RECEIPT-FORK
check "federation" tree_federation "$PROVINCE"
add_node "$HUB" national ''
add_node "$PROVINCE" province ''
add_node "$CITY" city "$PROVINCE"
start_all
keys=$TREE/fed/deciders
A=913400001000000167
B=913400001000000242
C=91340000100000032W
D=91340000100000040P
E=91340000100000059L
cd "$WORK" || exit 1
directive() { node_cmd "$1" directive "${@:2}"; }
header="主体名称,主体统一社会信用代码,认定文书号,列入事由,列入依据,认定日期,起始日期,截止日期,认定机关,认定机关统一社会信用代码,认定机关行政区划,名单类型,事先告知（公示）文书号,告知（公示）日期,措施编号,移出条件"
decide() { # SUBJECT: at the hub, by two of three
    {
        echo "$header"
        printf '示例商贸有限公司,%s,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例部,11100000000000019F,000000,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' "$1"
    } >one.csv
    rm -f package
    check "prepare" directive "$HUB" import one.csv -o package >out
    for n in 1 2; do
        check "signed by $n" "$CREDITNODE" directive sign package --key "$keys/$HUB-$n.key" >/dev/null
    done
    check "publish" directive "$HUB" publish package >/dev/null
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

note "what does not belong here"
{ echo "$header"; sed 's/,000000,/,341800,/; s/,[0-9A-Z]*,示例认/,'"$B"',示例认/' one.csv | tail -n 1; } >city.csv
check "the city decides" directive "$CITY" import city.csv --key "$keys/$CITY-1.key" --publish >/dev/null
check "export" directive "$CITY" export of-city --log "$(logs_of "$CITY" "select(.own and (.log | contains(\"/directives/\"))) | .log")" >/dev/null
refused "$PROVINCE" of-city 'no authority above this node'
refused "$HUB" all "this node's own"

note "two histories"
stop "$HUB"
cp -a "$TREE/$HUB/data" back
start "$HUB"
decide "$D"
check "one" directive "$HUB" export one --from 11 >/dev/null
stop "$HUB"
rm -rf "${TREE:?}/$HUB/data"
cp -a back "$TREE/$HUB/data"
start "$HUB"
decide "$E"
check "the other" directive "$HUB" export other --from 11 >/dev/null
taken "$PROVINCE" one 3 13
refused "$PROVINCE" other 'disagree|contradict|another|differ'
[ "$(hub_log "$PROVINCE" .state)" = forked ] || fail "not stopped: $(hub_log "$PROVINCE" .state)"
check "what was in force stays" listed "$PROVINCE" "$C" 1
