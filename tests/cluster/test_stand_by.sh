#!/usr/bin/env bash
# A county of two processes over one database. The one that stands by answers
# as the other, with lists as fresh as they are, and grows stale with it. Who
# would write there is sent to the one that writes at once: a child, an app, a
# command. When the writer is killed all of them go on, and nothing is there
# twice.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apps.sh"
. "$(dirname "$0")/processes.sh"

TREE_ISSUERS="000000000000:2:3 $PROVINCE:1:1"
make_line
for code in "$PROVINCE" "$CITY" "$COUNTY" "$TOWN"; do
    set_option "$code" replication.renew="1 s"
done
use_mariadb "$COUNTY"
make_app desk public,ingest
grant "$COUNTY" desk public,ingest
second_process "$COUNTY"
two_parents "$TOWN" "$COUNTY"
start_all
within "$PATIENCE" "one writes, the other stands by" find_sides "$COUNTY"
within "$PATIENCE" "the township has its parent" is "$TOWN" .uplink.state streaming

is_at() { [ "$(listed_at "$1" "$2")" = "$3" ]; }

note "lists from above are as fresh beside as where they come in"
decide_list --publish
position=$(listed_at "$PROVINCE" position)
for code in "$writer" "$other"; do
    within "$PATIENCE" "$code has the list" is_at "$code" position "$position"
    within "$PATIENCE" "it is fresh at $code" is_at "$code" freshness fresh
done
told() { node_cmd "$1" query "$LISTED" --json | jq -c '[.listings[0].name, (.lists[] | [.log, .position, .freshness])]'; }
same_answer() { [ "$(told "$writer")" = "$(told "$other")" ]; }
within "$PATIENCE" "both answer the same" same_answer
# Signed by the same clock, and never younger than at the writer.
ages() { # CODE
    directive "$1" lists --json |
        jq -r ".lists[] | select(.issuer == \"$PROVINCE\") | \"\(.signed_ms) \(.age_ms)\""
}
no_younger() {
    local mine his
    read -r -a his <<<"$(ages "$writer")"
    read -r -a mine <<<"$(ages "$other")"
    note "beside: signed ${mine[0]}, ${mine[1]} ms ago here; writer: ${his[0]}, ${his[1]} ms"
    # Of the same head; the writer was asked before.
    [ "${mine[0]}" != "${his[0]}" ] || [ "${mine[1]}" -ge "${his[1]}" ]
}
check "no younger beside" no_younger

note "the issuer falls silent"
kill_node "$CITY"
for code in "$writer" "$other"; do
    within "$PATIENCE" "stale at $code" is_at "$code" freshness stale
done
start "$CITY"
for code in "$writer" "$other"; do
    within "$PATIENCE" "fresh again at $code" is_at "$code" freshness fresh
done

note "who would write is sent to the one that writes"
at_writer=127.0.0.1:$(tree_port "$writer")
rows 900001 20 >"$WORK/rows.csv"
submit() { # CODE
    rm -f "$WORK/refusal"
    ask desk "$1" Submit <<<"csv: \"$(pb_bytes "$WORK/rows.csv")\"" >"$WORK/answer"
}
ms() { echo $(($(date +%s%N) / 1000000)); }
began=$(ms)
refused desk "$other" Submit ELSEWHERE <<<"csv: \"$(pb_bytes "$WORK/rows.csv")\""
note "refused within $(($(ms) - began)) ms: $(cat "$WORK/refusal")"
grep -q "at $at_writer writes" "$WORK/refusal" || fail "not sent on: $(cat "$WORK/refusal")"
sent_on() { # COMMAND...
    "$@" >"$WORK/out" 2>&1
    [ $? = 6 ] || fail "not status 6: $* $(cat "$WORK/out")"
    grep -q "stands by: .* at $at_writer writes" "$WORK/out" || fail "not sent on: $(cat "$WORK/out")"
}
sent_on node_cmd "$other" import "$WORK/rows.csv"
decide_list -o "$WORK/package"
sent_on directive "$other" publish "$WORK/package"
sent_on node_cmd "$other" reindex
# As an app does: what broke off is sent again.
submit "$writer" || { note "again: $(cat "$WORK/refusal")" && submit "$writer"; } ||
    fail "the writer does not take it: $(cat "$WORK/refusal")"
[ "$(grep -cE 'outcome: "(new|unchanged)"' "$WORK/answer")" = 20 ] || fail "not taken: $(cat "$WORK/answer")"
ask desk "$other" Check <<<"subjects: \"$LISTED\"" >"$WORK/answer" || fail "no check: $(cat "$WORK/refusal")"
grep -q "listed: true\|number: 3" "$WORK/answer" || fail "not met: $(cat "$WORK/answer")"
! grep -q "recorded: true" "$WORK/answer" || fail "said to be noted: $(cat "$WORK/answer")"
size=$(own_size "$writer")

note "a version of the root document that the writer takes is known beside it"
top=000000000000
check "propose" node_cmd "$writer" root propose -o "$WORK/root-2" --threshold "$top:3" >/dev/null
for who in 1 2 3; do
    check "sign" "$CREDITNODE" root sign "$WORK/root-2" --key "$TREE/fed/deciders/$top-$who.key" \
        --previous "$TREE/fed/root-document" >/dev/null
done
sent_on node_cmd "$other" root publish "$WORK/root-2"
check "publish" node_cmd "$writer" root publish "$WORK/root-2" >/dev/null
knows_root() { [ "$(node_cmd "$1" root show --json | jq -r .version)" = 2 ]; }
within "$PATIENCE" "known beside" knows_root "$other"

note "a child that dials the stand-by is sent on"
before=$(log_end "$TOWN")
dialled=127.0.0.1:$(tree_port "$other")
stop "$TOWN"
set_option "$TOWN" parent.address="$dialled, $at_writer"
set_option "$TOWN" replication.backoff_min="1 h"
set_option "$TOWN" replication.backoff_max="1 h"
began=$(ms)
start "$TOWN"
within "$PATIENCE" "it has come to the writer" is "$TOWN" .uplink.state streaming
note "with the writer within $(($(ms) - began)) ms of its start"
says "$TOWN" "SYNC-LOST.*$dialled.*ELSEWHERE" "$before" || fail "it was not sent on"
stop "$TOWN"
set_option "$TOWN" replication.backoff_min="50 ms"
set_option "$TOWN" replication.backoff_max="500 ms"
start "$TOWN"

note "the writer is killed: the other goes on, and so do app and child"
kill_node "$writer"
took() { submit "$other"; }
began=$(ms)
within "$PATIENCE" "the app's rows are taken" took
note "taken again after $(($(ms) - began)) ms"
[ "$(grep -c 'outcome: "unchanged"' "$WORK/answer")" = 20 ] || fail "twice: $(cat "$WORK/answer")"
within "$PATIENCE" "the child has come over" is "$TOWN" .uplink.state streaming
check "the village enters" enter "$VILLAGE" 1 40
check "equal" equal "$PROVINCE" "$CITY" "$other" "$TOWN" "$VILLAGE"
[ "$(own_size "$other")" = "$size" ] || fail "$(own_size "$other") entries, not $size"
within "$PATIENCE" "fresh where it writes now" is_at "$other" freshness fresh
start "$writer"
within "$PATIENCE" "it stands by" stands_by "$writer"
within "$PATIENCE" "and is fresh beside it" is_at "$writer" freshness fresh

note "somebody takes the database from the one that has the lease: it takes it back"
allow STORE-FULL STORE-CORRUPT SYNC-REFUSED
lines=$(log_end "$other")
term=$(process_says "$other" term)
check "take it" server_sql "UPDATE cn_$COUNTY.cn_owner SET instance=7;
    UPDATE cn_$COUNTY.cn_meta SET claim=7 WHERE k=2"
check "the village enters" enter "$VILLAGE" 41 40
replaced() { says "$other" STORE-REPLACED "$lines"; }
within "$PATIENCE" "it finds out" replaced
check "equal" equal "$PROVINCE" "$CITY" "$other" "$TOWN" "$VILLAGE"
check "it writes again" writes "$other"
check "by the same lease" [ "$(process_says "$other" term)" = "$term" ]
check "the other stands by" stands_by "$writer"

note "damage that the stand-by meets: the one that writes ends, and the other mends"
allow STORE-DAMAGED SYNC-UNREADABLE STORE-REBUILD STORE-BACKGROUND
from=$(log_end "$writer")
check "flip" server_sql "UPDATE cn_$COUNTY.cn_block SET
    v=INSERT(v,LENGTH(v) DIV 2,1,CHAR(ASCII(SUBSTR(v,LENGTH(v) DIV 2,1))^16))
    WHERE first BETWEEN 30 AND 70"
! node_cmd "$writer" query --log "$(own_log "$VILLAGE")" --number 60 >/dev/null 2>&1 ||
    fail "answered from a damaged block"
check "damage is named there" says "$writer" 'STORE-DAMAGED .*number' "$from"
ended() { ! tree_alive "$other"; }
within "$PATIENCE" "the one that writes ends by itself" ended
rc=0
wait "$(tree_pid "$other")" || rc=$?
rm -f "$TREE/$other/pid"
check "exit status 5" [ "$rc" = 5 ]
mended() { says "$writer" 'STORE-REBUILD .*result=ok' "$from"; }
within "$PATIENCE" "the other mends" mended
within "$PATIENCE" "and writes" writes "$writer"
start "$other"
within "$PATIENCE" "it stands by" stands_by "$other"
check "equal" equal "$PROVINCE" "$CITY" "$writer" "$TOWN" "$VILLAGE"
