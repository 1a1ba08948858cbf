#!/usr/bin/env bash
# Red and black lists come down: decided by files at a county, signed by two of
# three, in force in the village within moments and as a whole; removed;
# expired; fresh, and stale when the issuer falls silent; known again after
# kill -9 and to those who were away.
. "$(dirname "$0")/lib.sh"

TREE_ISSUERS="$COUNTY:2:3 $TOWN:1:1"
make_small
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$code" replication.renew="400 ms"
done
start_all
keys=$TREE/fed/deciders
A=913400001000000167
B=913400001000000242
directive() { node_cmd "$1" directive "${@:2}"; }
sign() { # FILE NUMBER: by that decider of the county
    check "signed by $2" "$CREDITNODE" directive sign "$1" --key "$keys/$COUNTY-$2.key" --lang en >"$WORK/out"
}
refused() { # PATTERN COMMAND...
    local pattern=$1
    shift
    ! "$@" >"$WORK/out" 2>&1 || fail "taken: $*"
    grep -qE -- "$pattern" "$WORK/out" || fail "no reason like '$pattern': $(cat "$WORK/out")"
}
listings() { node_cmd "$1" query "$2" --json 2>/dev/null | jq -r '.listings | length'; }
listed() { [ "$(listings "$1" "$2")" = "$3" ]; } # CODE SUBJECT COUNT
everywhere() {                                   # SUBJECT COUNT
    local code
    for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
        within "$PATIENCE" "$code lists $1 $2 times" listed "$code" "$1" "$2"
    done
}
# CODE: of the county's log.
freshness() { directive "$1" lists --json 2>/dev/null | jq -r ".lists[] | select(.issuer == \"$COUNTY\") | .freshness"; }
position() { directive "$1" lists --json 2>/dev/null | jq -r ".lists[] | select(.issuer == \"$COUNTY\") | .position"; }
is_fresh() { [ "$(freshness "$1")" = "$2" ]; }
same_position() { [ "$(position "$1")" = "$(position "$2")" ]; }
same_roots() { # the county's directives log
    local code roots
    roots=$(for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
        logs_of "$code" "select((.log | startswith(\"$COUNTY/directives/\"))) | .root"
    done | sort -u)
    [ "$(wc -l <<<"$roots")" = 1 ] && [ -n "$roots" ]
}

header="主体名称,主体统一社会信用代码,认定文书号,列入事由,列入依据,认定日期,起始日期,截止日期,认定机关,认定机关统一社会信用代码,认定机关行政区划,名单类型,失信领域,事先告知（公示）文书号,告知（公示）日期,措施编号,移出条件"
row() { # SUBJECT LIST DOMAIN UNTIL [NOTICE]
    printf '示例商贸有限公司,%s,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,%s,示例县法院,11340000200000013H,%s,%s,%s,%s,2026-02-01,C01,履行完毕\n' \
        "$1" "$4" "${COUNTY:0:6}" "$2" "$3" "${5-示例告〔2026〕7号}"
}

note "decided from a file"
{
    echo "$header"
    row "$A" 失信被执行人 "" 长期
    row "$B" 守信激励名单 "" 2099-12-31
    row "$A" 严重失信主体名单 "" 长期          # no domain
    row 913400000000000029 失信被执行人 "" 长期 # check character
    row "$B" 失信被执行人 "" 长期 ""           # no notice
} >"$WORK/decisions.csv"
directive "$COUNTY" import "$WORK/decisions.csv" --dry-run >"$WORK/dry" 2>"$WORK/faults"
[ $? = 3 ] || fail "dry run: $(cat "$WORK/dry" "$WORK/faults")"
for rule in 'line 4.*missing' 'line 5.*uscc-check' 'line 6.*missing'; do
    grep -q "$rule" "$WORK/faults" || fail "no fault like '$rule': $(cat "$WORK/faults")"
done
grep -q "$B" "$WORK/dry" || fail "the dry run does not show what would go: $(cat "$WORK/dry")"
directive "$COUNTY" import "$WORK/decisions.csv" -o "$WORK/p1" --receipt "$WORK/receipt" >"$WORK/out" 2>&1
[ $? = 3 ] && [ "$(sed '1s/^\xef\xbb\xbf//' "$WORK/receipt" | cut -d, -f1,2,7 | tr '\n' ' ')" = 'line,outcome,rule 2,"prepared","" 3,"prepared","" '\
'4,"refused","missing" 5,"refused","uscc-check" 6,"refused","missing" ' ] || fail "import: $(cat "$WORK/out" "$WORK/receipt")"
printf 'a,b\n1,2\n' >"$WORK/other.csv"
refused 'column' directive "$COUNTY" import "$WORK/other.csv" --dry-run --receipt "$WORK/receipt"
grep -q '^0,"refused",.*"file"' "$WORK/receipt" || fail "of what is no such file: $(cat "$WORK/receipt")"
refused 'is there already' directive "$COUNTY" import "$WORK/decisions.csv" -o "$WORK/p1"

for verb in "import $WORK/decisions.csv" "list-add A=b" "node-revoke $VILLAGE2 --reason 示例"; do
    # shellcheck disable=SC2086 # words of the verb
    refused "$COUNTY.*no-issuer" directive "$VILLAGE" $verb -o "$WORK/nothing"
done
[ ! -e "$WORK/nothing" ] || fail "made where nobody decides"

note "who signs is shown all of it"
{
    echo "$header"
    for n in {1..60}; do row "$A" 失信被执行人 "" 长期 | sed "s/认〔2026〕7号/认〔2026〕1$n号/"; done
} >"$WORK/many.csv"
check "many" directive "$COUNTY" import "$WORK/many.csv" -o "$WORK/many" >/dev/null
sign "$WORK/many" 1
[ "$(grep -c "$A" "$WORK/out")" = 60 ] || fail "signed what was not shown: $(cat "$WORK/out")"
# What is decided, and on what ground, not only of whom.
for said in 'subject name: 示例商贸有限公司' 'legal basis: 示例条例第十条' 'prior notice: 示例告〔2026〕7号' 'measures: C01' \
    'authority: 示例县法院' 'removal condition: 履行完毕' 'judgment defaulters (black)'; do
    grep -qF "$said" "$WORK/out" || fail "who signs is not shown '$said': $(head -n 20 "$WORK/out")"
done
"$CREDITNODE" directive show "$WORK/many" --lang zh >"$WORK/zh"
grep -qF '列入依据：示例条例第十条' "$WORK/zh" || fail "not in Chinese: $(head -n 20 "$WORK/zh")"
signed_by() { "$CREDITNODE" directive show "$WORK/many" --json | jq .signatures; }
by_program() { "$CREDITNODE" directive sign "$WORK/many" --key "$keys/$COUNTY-2.key" --json; }
by_full() { by_program >/dev/full; }
refused 'nothing was signed' by_full
[ "$(signed_by)" = 1 ] || fail "signed what could not be shown"
by_program | jq -e '.signatures == 1 and ([.entries[].values.MD_WSH] | unique | length) == 60' >/dev/null ||
    fail "a program signed what it was not shown"
[ "$(signed_by)" = 2 ] || fail "shown and not signed"

note "a package made by hand, whose text moves the cursor of who signs"
digest=sha256
[ "$SUITE" = gm ] && digest=sm3
sed -n 's/^entry //p' "$WORK/p1" | head -n 1 | base64 -d |
    LC_ALL=C sed "s/示例认/\x1b[1A\xe2\x80\xae__/" >"$WORK/entry"
{
    sed -n 1,7p "$WORK/p1"
    printf 'entries 1\nroot %s\n' "$({ printf '\0'; cat "$WORK/entry"; } | openssl dgst -r "-$digest" | cut -d' ' -f1)"
    printf 'entry %s\n' "$(base64 -w0 "$WORK/entry")"
} >"$WORK/byhand"
sign "$WORK/byhand" 1
sign "$WORK/byhand" 2
acts() { LC_ALL=C grep -qE $'\x1b|\xe2\x80\xae' "$1"; }
grep -q '?\[1A?__' "$WORK/out" && ! acts "$WORK/out" || fail "shown as it is: $(cat -v "$WORK/out")"
"$CREDITNODE" directive show "$WORK/byhand" --json >"$WORK/out" || fail "show --json"
jq -e '.entries[0].values.MD_WSH | startswith("\u001b[1A\u202e__")' "$WORK/out" >/dev/null && ! acts "$WORK/out" ||
    fail "JSON as it is: $(cat -v "$WORK/out")"
refused 'MD_WSH.*\[control-character\]' directive "$COUNTY" publish "$WORK/byhand"

note "two of three sign, each on a copy"
refused '0 of the 2 signatures' directive "$COUNTY" publish "$WORK/p1"
cp "$WORK/p1" "$WORK/p1-copy"
sign "$WORK/p1" 1
sign "$WORK/p1-copy" 3
refused '1 of the 2 signatures' directive "$COUNTY" publish "$WORK/p1"
refused "of issuer $COUNTY" directive "$TOWN" publish "$WORK/p1" "$WORK/p1-copy"
sed 's/^entry AR/entry AS/' "$WORK/p1" >"$WORK/altered"
refused 'the file was changed|base64' "$CREDITNODE" directive show "$WORK/altered" --lang en
refused 'publish has no --dry-run' directive "$COUNTY" publish "$WORK/p1" "$WORK/p1-copy" --dry-run
listed "$COUNTY" "$A" 0 && listed "$VILLAGE" "$A" 0 || fail "in force before it was signed"
check "publish" directive "$COUNTY" publish "$WORK/p1" "$WORK/p1-copy" >"$WORK/out"
everywhere "$A" 1
everywhere "$B" 1
refused 'published already' directive "$COUNTY" publish "$WORK/p1" "$WORK/p1-copy"
within "$PATIENCE" "roots are equal" same_roots
node_cmd "$VILLAGE" query "$A" --json | jq -e '.listings[0] | .colour == "black" and .domain == "legal-duty" and
    .issuer == "'"$COUNTY"'" and (.fields | map(.code) | contains(["MD_YJ", "MD_JG", "MD_GZWSH"]))' >/dev/null ||
    fail "the answer lacks basis or authority: $(node_cmd "$VILLAGE" query "$A" --json)"

# Whoever asks without --json learns it as well.
node_cmd "$VILLAGE" query "$A" >"$WORK/out" || fail "query"
for said in 'on 1 lists' 'judgment defaulters (black)' '示例条例第十条' "issuer and log  *position  *freshness"; do
    grep -q "$said" "$WORK/out" || fail "the answer for people lacks '$said': $(cat "$WORK/out")"
done
node_cmd "$VILLAGE" query "$A" --lang zh >"$WORK/zh"
grep -q '失信被执行人 (黑名单)' "$WORK/zh" || fail "not in Chinese: $(cat "$WORK/zh")"

note "many at once"
long=$(printf '宣%.0s' {1..40})
printf '%s\n' "$B" "$A" 91340000100000032W "$(iconv -t gb18030 <<<信用代码)" "$long" 999900200002290017 "$B" "" \
    >"$WORK/bidders"
checked_while_fresh() {
    node_cmd "$VILLAGE" check "$WORK/bidders" --json >"$WORK/checked"
    [ $? = 3 ] || fail "check: $(cat "$WORK/checked")"
    [ "$(jq -r '.lists[0].freshness' "$WORK/checked")" = fresh ]
}
within "$PATIENCE" "checked while fresh" checked_while_fresh
[ "$(jq -c '[.lines, .listed, .invalid]' "$WORK/checked")" = '[8,3,3]' ] ||
    fail "check: $(cat "$WORK/checked")"
[ "$(jq -c '[.hits[] | select(.error) | [.line, .subject[:2]]]' "$WORK/checked")" = '[[4,"??"],[5,"宣宣"],[6,"**"]]' ] ||
    fail "lines that are no codes: $(cat "$WORK/checked")"

# As a tender office has them: a table out of a spreadsheet, headings below a
# title, a line in another character set, a consortium, and one without a code.
{
    printf '\xef\xbb\xbf样例项目投标人,,\n序号,投标人,统一社会信用代码\n1,"示例,甲",%s\n' "$A"
    iconv -t gb18030 <<<"2,乙,$B"
    printf '\n3,丙丁联合体,%s,%s\n4,戊公司,\n' 91340000100000032w "$A"
} >"$WORK/table.csv"
node_cmd "$VILLAGE" check "$WORK/table.csv" --json >"$WORK/checked"
[ "$(jq -c '[.lines, .passed, .organisations, .listed, .listed_organisations, .invalid]' "$WORK/checked")" = '[7,2,3,3,2,1]' ] &&
    [ "$(jq -c '[.hits[] | [.line, .rule]]' "$WORK/checked")" = '[[3,null],[4,null],[6,null],[7,"no-code"]]' ] ||
    fail "a table: $(cat "$WORK/checked")"
node_cmd "$VILLAGE" check "$WORK/table.csv" >"$WORK/out" 2>"$WORK/faults"
grep -q "^$A .*line 6\$" "$WORK/out" && grep -q 'line 7: .*戊公司.*a name does not say' "$WORK/faults" ||
    fail "for people: $(cat "$WORK/out" "$WORK/faults")"
iconv -t utf-16 <<<"$A" >"$WORK/utf16.csv"
refused 'save it as CSV' node_cmd "$VILLAGE" check "$WORK/utf16.csv"

status_of() { # SUBJECT...: of a check of them while all is fresh; the reason why not
    printf '%s\n' "$@" >"$WORK/few"
    node_cmd "$VILLAGE" check "$WORK/few" --json >"$WORK/checked"
    echo $?
}
ends_with() { [ "$(status_of "${@:2}")" = "$1" ]; } # STATUS SUBJECT...
# The township may list, too, and nothing was ever heard of it.
within "$PATIENCE" "all that came is fresh" is_fresh "$VILLAGE" fresh
ends_with 4 91340000100000032W || fail "nothing came of the township, and that is sure: $(cat "$WORK/checked")"
[ "$(jq -c .unheard "$WORK/checked")" = "[\"$TOWN\"]" ] || fail "not named: $(cat "$WORK/checked")"
node_cmd "$VILLAGE" check "$WORK/few" >"$WORK/out"
grep -q "$TOWN: no list of it is here" "$WORK/out" || fail "not told: $(cat "$WORK/out")"
ends_with 4 91340000100000032W 913400001000000 || fail "a line without a code, and nobody listed: $(cat "$WORK/checked")"
ends_with 3 $'\xef\xbb\xbf'"$A" || fail "the first line of a spreadsheet: $(cat "$WORK/checked")"

note "a removal is gone from every answer"
refused 'not-listed' directive "$COUNTY" list-remove YC_ZT_SHXYM="$A" YC_WSH=示例移〔2026〕1号 YC_SY=履行完毕 \
    YC_RQ=2026-04-01 YC_JG=示例县法院 YC_JGDM=11340000200000013H YC_MDLX=失信被执行人 YC_YWSH=示例认〔2026〕8号 --dry-run
# A verb and the columns of another: nobody gets the opposite of what was said.
removal=(YC_ZT_SHXYM="$A" YC_WSH=示例移〔2026〕1号 YC_SY=履行完毕 YC_RQ=2026-04-01 YC_JG=示例县法院
    YC_JGDM=11340000200000013H YC_MDLX=失信被执行人 YC_YWSH=示例认〔2026〕7号)
mapfile -t listing < <(paste -d= <(tr , '\n' <<<"$header") <(row "$B" 失信被执行人 "" 长期 | tr , '\n'))
for verb in list-add list-correct; do
    refused 'columns-of-removal' directive "$COUNTY" $verb "${removal[@]}" --dry-run
done
refused 'columns-of-listing' directive "$COUNTY" list-remove "${listing[@]}" --dry-run
refused 'list-correct corrects' directive "$COUNTY" list-add --correct "${listing[@]}" --dry-run
check "list-add with the columns of a listing" directive "$COUNTY" list-add "${listing[@]}" --dry-run >/dev/null
check "prepare the removal" directive "$COUNTY" list-remove "${removal[@]}" -o "$WORK/p2" >"$WORK/out"
sign "$WORK/p2" 2
grep -qE "comes off .*$A .* $COUNTY/directives/[0-9a-f]+#[0-9]+" "$WORK/out" ||
    fail "which listing it ends is not shown: $(cat "$WORK/out")"
sign "$WORK/p2" 3
check "publish the removal" directive "$COUNTY" publish "$WORK/p2" >/dev/null
everywhere "$A" 0

note "a township decides for itself alone"
refused 'authority-area' directive "$TOWN" import "$WORK/decisions.csv" --dry-run
row "$A" 失信被执行人 "" 长期 | sed "s/,${COUNTY:0:6},/,$TOWN,/" >"$WORK/town"
{ echo "$header"; cat "$WORK/town"; } >"$WORK/town.csv"
publish_town() { directive "$TOWN" import "$WORK/town.csv" --key "$keys/$TOWN-1.key" --publish "$@"; }
unasked() { publish_town </dev/null; }
refused 'nothing was signed' unasked
grep -q '示例条例第十条' "$WORK/out" || fail "what is to be signed is not shown: $(cat "$WORK/out")"
listed "$TOWN" "$A" 0 || fail "published without a yes"
refused 'say --yes' publish_town --json
said_no() { publish_town --receipt "$WORK/receipt" <<<no; }
refused 'nothing was signed' said_no
grep -q '^2,"dropped"' "$WORK/receipt" || fail "of what was not decided: $(cat "$WORK/receipt")"
said_yes() { publish_town --dry-run && publish_town <<<yes; }
check "decide, look, and publish" said_yes >"$WORK/out"
within "$PATIENCE" "the village lists it" listed "$VILLAGE" "$A" 1
sed -i 's/认〔2026〕7号/认〔2026〕9号/' "$WORK/town.csv"
check "decide and publish" directive "$TOWN" import "$WORK/town.csv" --key "$keys/$TOWN-1.key" --yes --publish \
    --receipt "$WORK/receipt" >"$WORK/out"
grep -qE "^2,\"published\",\"\",\"$TOWN/directives/[0-9a-f]+\",6,.*town.csv\"$" "$WORK/receipt" ||
    fail "where it stands is not told: $(cat "$WORK/receipt")"
within "$PATIENCE" "the village lists it twice" listed "$VILLAGE" "$A" 2
check "the county does not" listed "$COUNTY" "$A" 0
within "$PATIENCE" "nobody of these listed, and that is sure" ends_with 0 91340000100000032W
[ "$(jq -c .unheard "$WORK/checked")" = "[]" ] || fail "of whom was nothing heard: $(cat "$WORK/checked")"

note "silence is stale, and answers go on"
within "$PATIENCE" "fresh at the village" is_fresh "$VILLAGE" fresh
kill -STOP "$(cat "$TREE/$COUNTY/pid")"
within "$PATIENCE" "stale at the village" is_fresh "$VILLAGE" stale
listed "$VILLAGE" "$B" 1 || fail "no answer from a stale list"
ends_with 4 91340000100000032W || fail "nobody is listed by a stale list, and that is sure: $(cat "$WORK/checked")"
kill -CONT "$(cat "$TREE/$COUNTY/pid")"
within "$PATIENCE" "fresh again" is_fresh "$VILLAGE" fresh

note "away, killed, and equal in the end"
kill_node "$VILLAGE"
{ echo "$header"; row "$A" 失信被执行人 "" 长期; } >"$WORK/again.csv"
check "another package" directive "$COUNTY" import "$WORK/again.csv" -o "$WORK/p3" >/dev/null
sign "$WORK/p3" 1
sign "$WORK/p3" 2
check "publish it" directive "$COUNTY" publish "$WORK/p3" >/dev/null
kill_node "$COUNTY"
kill_node "$TOWN"
start "$VILLAGE"
is_fresh "$VILLAGE" stale || fail "fresh before anybody was heard: $(freshness "$VILLAGE")"
start "$COUNTY"
start "$TOWN"
everywhere "$B" 1
within "$PATIENCE" "the village has what it missed" listed "$VILLAGE" "$A" 3
within "$PATIENCE" "roots are equal" same_roots
within "$PATIENCE" "positions are equal" same_position "$VILLAGE" "$COUNTY"
within "$PATIENCE" "fresh again" is_fresh "$VILLAGE" fresh
check "verified with the parent" node_cmd "$VILLAGE" verify >"$WORK/out"

note "an authority above annuls"
place=$(node_cmd "$VILLAGE" query "$A" --json | jq -r ".listings[] | select(.issuer == \"$TOWN\" and (.fields[] |
    select(.code == \"MD_WSH\").value == \"示例认〔2026〕9号\")) | \"\(.log)#\(.number)\"")
annul=("${removal[@]/YC_YWSH=*/YC_YWSH=示例认〔2026〕9号}")
refused 'not-listed' directive "$COUNTY" list-remove "${annul[@]}" --dry-run
refused 'of this node or of one below' directive "$TOWN" list-remove "${annul[@]}" --dry-run \
    --listing "$COUNTY/directives/0123456789abcdef#3"
refused 'import has no --listing' directive "$COUNTY" import "$WORK/again.csv" --listing "$place" --dry-run
check "annul" directive "$COUNTY" list-remove "${annul[@]}" --listing "$place" -o "$WORK/p4" >/dev/null 2>"$WORK/out"
grep -qF "$place is of $TOWN" "$WORK/out" || fail "not said that nobody looked at it: $(cat "$WORK/out")"
sign "$WORK/p4" 1
grep -qF "$place" "$WORK/out" || fail "what is annulled is not shown: $(cat "$WORK/out")"
sign "$WORK/p4" 2
# Somebody met it: that bears it out.
check "feedback" node_cmd "$VILLAGE" feedback "$place" --outcome not-applicable >/dev/null
met() { node_cmd "$COUNTY" query "$place" --json 2>/dev/null | jq -e '.records | length > 0' >/dev/null; }
within "$PATIENCE" "the county knows of that" met
check "publish it" directive "$COUNTY" publish "$WORK/p4" >/dev/null 2>"$WORK/out"
! grep -q note "$WORK/out" || fail "not borne out: $(cat "$WORK/out")"
within "$PATIENCE" "gone in the village" listed "$VILLAGE" "$A" 2
within "$PATIENCE" "and at its own authority" listed "$TOWN" "$A" 2
refused 'ended that listing already' directive "$COUNTY" list-remove "${annul[@]}" --listing "$place" --dry-run
refused 'may list nobody' directive "$COUNTY" list-remove "${annul[@]}" --listing "${place/#$TOWN/341821200000}" --dry-run

note "a decider's key is replaced, and what it signed before stays"
read -r log size root < <(logs_of "$COUNTY" 'select(.own and (.log | contains("/directives/"))) | "\(.log) \(.size) \(.root)"')
node_cmd "$COUNTY" root show --text >"$WORK/root-1" || fail "root show"
other=$(tr 0-9a-f 1-9a-f0 <<<"$root")
for name in other root; do
    check "propose" node_cmd "$COUNTY" root propose -o "$WORK/with-$name" --remove-decider "$COUNTY:$COUNTY-3" \
        --last "$COUNTY:${log##*/}:$size:${!name}" >/dev/null
    for decider in 1 2; do
        check "signed by $decider" "$CREDITNODE" root sign "$WORK/with-$name" --previous "$WORK/root-1" \
            --key "$keys/$COUNTY-$decider.key" >/dev/null
    done
done
refused "first $size entries of log $log have another root here" node_cmd "$COUNTY" root publish "$WORK/with-other"
check "publish the root document" node_cmd "$COUNTY" root publish "$WORK/with-root" >/dev/null
has_root() { [ "$(node_cmd "$VILLAGE" root show --json 2>/dev/null | jq .version)" = 2 ]; }
within "$PATIENCE" "the village has it" has_root
check "judged again" node_cmd "$VILLAGE" reindex >/dev/null
listed "$VILLAGE" "$B" 1 || fail "what 1 and 3 signed before counts no more"
sign "$WORK/many" 3 # 1, 2 and 3: whose key counts no more
refused 'does not decide' directive "$COUNTY" publish "$WORK/many"
