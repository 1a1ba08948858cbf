#!/usr/bin/env bash
# Natural persons: sealed from the first byte, open to the ancestors of the node
# that entered them and to nobody else, masked wherever anybody looks.
. "$(dirname "$0")/lib.sh"
. "$HERE/apps.sh"

SAMPLES=$ROOT/simulate/samples
make_line
add_node "$VILLAGE2" village "$TOWN"
set_option "$VILLAGE" inbox.path="$WORK/inbox"
set_option "$VILLAGE" inbox.interval="100 ms"
set_option "$VILLAGE" inbox.settle="200 ms"
make_app hall public,shared,authorised,ingest,feedback
make_app boss authorised --kind operator
for code in "$VILLAGE" "$PROVINCE"; do
    grant "$code" hall public,shared,authorised,ingest,feedback boss authorised
done
for code in "$TOWN" "$VILLAGE" "$VILLAGE2"; do start "$code"; done
# Until then what is entered has no numbers. A township that hears nothing from
# above waits some seconds for it before it tells what it holds.
within "$PATIENCE" "the township has told the village" says "$VILLAGE" STORE-ADMITTED

# ---- entered while three tiers have not been seen yet ----

for file in "$SAMPLES"/*.csv; do
    node_cmd "$VILLAGE" import --receipt "$WORK/receipt.${file##*/}" "$file" \
        >>"$WORK/said" 2>&1
    [ $? -ne 1 ] || fail "import of $file"
done
cat "$SAMPLES/licences-dirty.csv" >"$WORK/laid.csv"
mv "$WORK/laid.csv" "$WORK/inbox/"
within "$PATIENCE" "inbox" test -e "$WORK/inbox/done/laid.csv.receipt.csv"
cp "$WORK/inbox/done/laid.csv.receipt.csv" "$WORK/receipt.inbox"
printf 'csv: "%s"' "$(pb_bytes "$SAMPLES/licences-2018-utf8bom.csv")" |
    ask hall "$VILLAGE" Submit >"$WORK/answer.submit" || fail "Submit"

# Keys are wrapped to the tiers that come up later.
for code in "$COUNTY" "$CITY" "$PROVINCE"; do start "$code"; done
check "equal" equal

# ---- a record of a person, looked at from everywhere ----

whole=$WORK/receipt.licences-2018-utf8bom.csv
line=$(iconv -f utf-8 -t utf-8 "$SAMPLES/licences-2018-utf8bom.csv" | tr -d '\r' |
    grep -n ',999900200002290017,' | head -n 1 | cut -d: -f1)
IFS=, read -r _ _ _ log number _ < <(grep "^$line," "$whole" | tr -d '"')
[ -n "$log" ] && [ "$number" -gt 0 ] || fail "no receipt of line $line"
# CODE MASK: the record is shown there, with this value
shows() {
    node_cmd "$1" query --log "$log" --number "$number" --json >"$WORK/answer.$1" 2>&1 || return 1
    jq -e --arg mask "$2" '[.record.fields[].value] | index($mask)' "$WORK/answer.$1" >/dev/null
}
for code in "$VILLAGE" "$TOWN" "$COUNTY" "$CITY" "$PROVINCE"; do
    within "$PATIENCE" "$code opens what it may" shows "$code" '999***********0017'
done
check "the village wraps a key to each ancestor" holds_rows "$VILLAGE" 68
# What came before its key has its place in the index after `reindex`.
for code in "$TOWN" "$COUNTY" "$CITY" "$PROVINCE"; do
    check "reindex" node_cmd "$code" reindex >/dev/null
    [ "$(node_cmd "$code" issues --json | jq '.rows | length')" = 0 ] ||
        fail "$code has entries without effect: $(node_cmd "$code" issues)"
done

# The sibling has neither the records nor the keys.
! node_cmd "$VILLAGE2" query --log "$log" --number "$number" >"$WORK/answer.sibling" 2>&1 ||
    fail "the sibling answers"
# Even with the other village's log: a township's copy in its hands would need
# the keys that are wrapped to the township.
[ "$(logs_of "$VILLAGE2" '.log' | grep -c "$VILLAGE/")" = 0 ] || fail "the sibling has the log"

# ---- apps are answered nothing of persons ----

grep -h ',"new",' "$WORK"/receipt.*.csv | cut -d, -f4,5 | tr -d '"' >"$WORK/places"
persons=0
while IFS=, read -r its_log its_number; do
    for app in hall boss; do
        printf 'log: "%s" number: %s' "$its_log" "$its_number" |
            ask "$app" "$PROVINCE" Record >>"$WORK/answer.apps"
        case $(cat "$WORK/refusal") in
        '') ;;
        NOT_FOUND:*'no record for this asker'*) persons=$((persons + 1)) ;;
        *) fail "$app: $(cat "$WORK/refusal")" ;;
        esac
        cat "$WORK/refusal" >>"$WORK/answer.refusals"
    done
done <"$WORK/places"
expected=$(cat "$SAMPLES"/licences-2018-utf8bom.csv <(iconv -f gb18030 -t utf-8 "$SAMPLES/penalties-2018-gb18030.csv") |
    grep -c '自然人')
[ "$persons" -ge $((2 * (expected + 1))) ] || fail "only $persons answers refused"
for subject in 999900200002290017 111/999900200002290017; do
    printf 'subject: "%s"' "$subject" | ask hall "$PROVINCE" Subject >>"$WORK/answer.apps"
    cat "$WORK/refusal" >>"$WORK/answer.refusals"
    node_cmd "$PROVINCE" query "$subject" >>"$WORK/answer.cli" 2>&1
done
grep -q 'records {' "$WORK/answer.apps" && fail "a person's number finds records"

# ---- nothing in clear, anywhere ----

# Numbers that anybody wrote into a sample, good rows or bad, and the names of
# persons. Forms: as they are, and in GB18030.
all=$(cat "$SAMPLES"/licences-*.csv "$SAMPLES/penalties-2016.csv" <(iconv -f gb18030 -t utf-8 "$SAMPLES/penalties-2018-gb18030.csv"))
grep -oE '999900(19|20)[0-9]{9}[0-9Xx]' <<<"$all" | sort -u >"$WORK/secrets"
[ "$(wc -l <"$WORK/secrets")" -ge 5 ] || fail "the samples have no persons"
grep '自然人' <<<"$all" | cut -d, -f1 | sort -u >"$WORK/names"
cat "$WORK/names" <(iconv -f utf-8 -t gb18030 "$WORK/names") "$WORK/secrets" |
    grep -av '^$' >"$WORK/patterns"

# WHERE...: files and folders
clear_in() { LC_ALL=C grep -raFlf "$WORK/patterns" "$@"; }
check "the samples themselves are found" clear_in "$SAMPLES" >/dev/null
stores=("$TREE"/*/data)
! on_server "$PROVINCE" || stores+=("$SERVER")
LC_ALL=C grep -rqaF 91999900MA000100X7 "${stores[@]}" ||
    fail "stores hide even clear subjects: the search shows nothing"

stop_all() { check "stop" tree_down; }
look() {
    local found
    found=$(clear_in "${stores[@]}" "$TREE"/*/log "$WORK"/receipt.* \
        "$WORK"/answer.* "$WORK/said")
    [ -z "$found" ] || fail "in clear: $found: $(LC_ALL=C grep -aoFf "$WORK/patterns" $found | head -n 3)"
}
look
stop_all
look
for code in "$PROVINCE" "$CITY" "$COUNTY" "$TOWN" "$VILLAGE" "$VILLAGE2"; do start "$code"; done
within "$PATIENCE" "after a restart the province still opens it" shows "$PROVINCE" '999***********0017'
check "equal" equal
