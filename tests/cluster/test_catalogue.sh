#!/usr/bin/env bash
# Catalogue versions and measures: the highest authority publishes a kind of
# record; a village enters records of it, a county answers them; narrowing
# reaches answers that were given before; a record that came before its version
# reads when that comes; restarts change nothing; an unknown measure is refused.
. "$(dirname "$0")/lib.sh"
. "$HERE/apps.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="$COUNTY:1:1 $TOWN:1:1"
make_small
make_app hall public
make_app bureau public,shared
grant "$TOWN" hall public bureau public,shared
grant "$COUNTY" hall public bureau public,shared
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
town_key=$TREE/fed/deciders/$TOWN-1.key
version_is() { [ "$(node_cmd "$1" catalogue --json 2>/dev/null | jq -r .version)" = "$2" ]; }
subject=91999900MA000100X7

kind() { # DISCLOSURE
    cat <<E2
{"basis": "示例信用条例第五条",
 "kinds": [{"id": 1024, "name": "honour", "label": "荣誉信息", "label_en": "honours",
   "retention_months": 36, "fields": [
   {"id": 2, "column": "RY_MC", "label": "单位名称", "label_en": "subject name", "need": "always"},
   {"id": 4, "column": "RY_SHXYM", "label": "单位代码", "label_en": "credit code", "need": "always"},
   {"id": 16, "column": "RY_WSH", "label": "表彰文号", "label_en": "document number", "need": "always"},
   {"id": 27, "column": "RY_RQ", "label": "表彰日期", "label_en": "decided", "need": "always"},
   {"id": 31, "column": "RY_JG", "label": "表彰机关", "label_en": "authority", "need": "always"},
   {"id": 256, "column": "RY_DJ", "label": "荣誉等级", "label_en": "grade of honour",
    "type": "enum", "max": 32, "words": ["国家级", "省级"], "disclosure": "$1"},
   {"id": 257, "column": "RY_NR", "label": "荣誉内容", "label_en": "what for",
    "type": "text", "max": 200}]}]}
E2
}
rows() { # FIRST LAST
    echo "RY_MC,RY_SHXYM,RY_WSH,RY_RQ,RY_JG,RY_DJ,RY_NR"
    seq "$1" "$2" | sed "s/.*/宣城市样例甲贸易有限公司,$subject,样荣〔2026〕&号,2026-02-03,宣城市样例机关,省级,样例荣誉内容/"
}
field() { # APP CODE COLUMN: how many records show it
    printf 'subject: "%s"' "$subject" | ask "$1" "$2" Subject >"$WORK/answer" || fail "no answer: $(cat "$WORK/refusal")"
    grep -c "code: \"$3\"" "$WORK/answer"
}

note "only the highest authority"
kind public >"$WORK/v1.json"
directive "$TOWN" catalogue "$WORK/v1.json" --key "$town_key" --yes --publish >"$WORK/out" 2>&1 && fail "a township published a catalogue"
grep -q 'not-highest' "$WORK/out" || fail "not refused by rule: $(cat "$WORK/out")"
rows 1 3 | node_cmd "$VILLAGE" import --stdin --quiet >"$WORK/out" 2>&1 && fail "a kind unknown here was taken"

note "a version goes down, records of it up"
check "prepare" directive "$COUNTY" catalogue "$WORK/v1.json" -o "$WORK/v1.package" >"$WORK/out"
check "show" directive "$COUNTY" show "$WORK/v1.package" >"$WORK/out"
grep -q '1024: retention_months=36 name="honour"' "$WORK/out" && [ "$(grep -c '1024.*type=.*need=.*column=' "$WORK/out")" = 7 ] ||
    fail "the package does not say what it changes: $(cat "$WORK/out")"
check "sign" directive "$COUNTY" sign "$WORK/v1.package" --key "$key" >/dev/null
stop "$TOWN"
check "publish" directive "$COUNTY" publish "$WORK/v1.package" >/dev/null
check "version 1 at the county" version_is "$COUNTY" 1
start "$TOWN"
for code in "$TOWN" "$VILLAGE"; do
    within "$PATIENCE" "version 1 at $code" version_is "$code" 1
done
rows 1 3 | node_cmd "$VILLAGE" import --stdin --quiet >"$WORK/out" 2>&1 || fail "import: $(cat "$WORK/out")"
check "equal" equal
[ "$(field hall "$COUNTY" RY_DJ)" = 3 ] || fail "the county does not show the new field: $(cat "$WORK/answer")"
grep -q 'item: "honour"' "$WORK/answer" || fail "the kind is not named"
[ "$(field hall "$COUNTY" RY_DJ)" = 3 ] || fail "not the second time"
"$CREDITNODE" catalogue show honour -c "$(tree_conf "$COUNTY")" --lang zh >"$WORK/out" || fail "catalogue show"
grep -q '荣誉等级' "$WORK/out" || fail "no Chinese labels: $(cat "$WORK/out")"

note "what is there does not change its meaning"
sed 's/"max": 200/"max": 100/' "$WORK/v1.json" >"$WORK/bad.json"
directive "$COUNTY" catalogue "$WORK/bad.json" --dry-run >"$WORK/out" 2>&1 && fail "a field was told anew"
grep -q '\[fixed\]' "$WORK/out" || fail "not refused by rule: $(cat "$WORK/out")"

note "a narrower disclosure reaches what is stored and was answered"
[ "$(field hall "$TOWN" RY_DJ)" = 3 ] || fail "the township does not show it"
printf '%s' '{"basis": "示例", "kinds": [{"id": 1024, "fields": [{"id": 256, "disclosure": "shared"}]}]}' >"$WORK/v2.json"
directive "$COUNTY" catalogue "$WORK/v2.json" --dry-run --lang en >"$WORK/out"
grep -q 'kind 1024, field 256: disclosure="shared"' "$WORK/out" || fail "not shown what changes: $(cat "$WORK/out")"
directive "$COUNTY" catalogue "$WORK/v2.json" --dry-run --json |
    jq -e '.entries[0].kinds == [{"id": 1024, "fields": [{"id": 256, "disclosure": "shared"}]}]' >/dev/null ||
    fail "not as it was given: $(directive "$COUNTY" catalogue "$WORK/v2.json" --dry-run --json)"
check "narrow" directive "$COUNTY" catalogue "$WORK/v2.json" --key "$key" --yes --publish >/dev/null
[ "$(field hall "$COUNTY" RY_DJ)" = 0 ] || fail "the county still shows it"
[ "$(field hall "$COUNTY" RY_NR)" = 3 ] || fail "others went with it"
[ "$(field bureau "$COUNTY" RY_DJ)" = 3 ] || fail "a bureau does not see it"
within "$PATIENCE" "version 2 at the township" version_is "$TOWN" 2
[ "$(field hall "$TOWN" RY_DJ)" = 0 ] || fail "the township still shows it"

note "a record that comes before its version"
kill_node "$TOWN"
empty_node "$TOWN"
start "$TOWN"
within "$PATIENCE" "version 2 at the township again" version_is "$TOWN" 2
check "equal again" equal
[ "$(field bureau "$TOWN" RY_DJ)" = 3 ] || fail "records from before do not read"

note "a whole kind"
printf '%s' '{"basis": "示例", "kinds": [{"id": 1024, "disclosure": "shared"}]}' >"$WORK/v3.json"
check "narrow the kind" directive "$COUNTY" catalogue "$WORK/v3.json" --key "$key" --yes --publish >/dev/null
[ "$(field hall "$COUNTY" RY_NR)" = 0 ] || fail "the kind is still shown"
[ "$(field bureau "$COUNTY" RY_NR)" = 3 ] || fail "the kind is not shown to a bureau"

note "measures"
list_row() { # MEASURES
    echo "$LIST_HEADER"
    echo "宣城市样例甲贸易有限公司,$subject,示例认〔2026〕1号,示例,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,${COUNTY:0:6},失信被执行人,示例告〔2026〕7号,2026-02-01,$1,履行完毕"
}
list_row "C01、X99" >"$WORK/list.csv"
check "any id while there is no list of measures" directive "$COUNTY" import "$WORK/list.csv" --dry-run >/dev/null
printf '%s' '{"measures": [{"id": "C01", "name": "限制参加政府采购", "name_en": "no public procurement", "basis": "政府采购法第二十二条", "from": "2020-01-01"}]}' >"$WORK/m.json"
check "publish" directive "$COUNTY" measure "$WORK/m.json" --key "$key" --yes --publish >/dev/null
directive "$COUNTY" import "$WORK/list.csv" --dry-run >"$WORK/out" 2>&1 && fail "an unknown measure was taken"
grep -q 'measure-unknown' "$WORK/out" || fail "not refused by rule: $(cat "$WORK/out")"
list_row C01 >"$WORK/list.csv"
check "a known one" directive "$COUNTY" import "$WORK/list.csv" --dry-run >/dev/null
at_village() { [ "$(node_cmd "$VILLAGE" catalogue --json 2>/dev/null | jq -r '.measures[0].id')" = C01 ]; }
within "$PATIENCE" "the village has the measure" at_village
directive "$TOWN" measure "$WORK/m.json" --dry-run >"$WORK/out" 2>&1 && fail "a township took the id of the county"
grep -q 'measure-taken' "$WORK/out" || fail "not refused by rule: $(cat "$WORK/out")"

note "after a restart"
for code in "$COUNTY" "$VILLAGE"; do
    kill_node "$code"
    start "$code"
    check "version 3 at $code" version_is "$code" 3
done
at_village || fail "the measure is gone"
[ "$(field hall "$COUNTY" RY_NR)" = 0 ] || fail "the kind is shown again"
rows 4 4 | node_cmd "$VILLAGE" import --stdin --quiet >"$WORK/out" 2>&1 || fail "import after a restart: $(cat "$WORK/out")"
check "equal at the end" equal
