#!/usr/bin/env bash
# Authorities that have decided nothing yet: an empty log of each comes down, so
# that nodes below know that nothing is missing. Then one of them decides.
#   test_first_log.sh
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="$COUNTY:1:1 $TOWN:1:1"
make_small
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$code" replication.renew="400 ms"
done
cd "$WORK" || exit 1
echo 91340000100000032W >subjects
checked_at() { # CODE STATUS: of a check there
    local rc=0
    node_cmd "$1" check subjects --json >checked 2>/dev/null || rc=$?
    [ "$rc" = "$2" ]
}
checked() { checked_at "$VILLAGE" "$1"; }
unheard() { [ "$(jq -c .unheard checked)" = "$1" ]; }
own_lists() { # CODE COUNT: directives logs of its own
    [ "$(logs_of "$1" 'select(.own and (.log | contains("/directives/"))) | .log' | wc -l)" = "$2" ]
}

note "too early"
start_all
within "$PATIENCE" "nothing is sure yet" checked 4
unheard "[\"$COUNTY\",\"$TOWN\"]" || fail "unheard: $(cat checked)"
for code in "$COUNTY" "$TOWN"; do
    checked_at "$code" 4 || fail "$code cannot know that it decided nothing: $(cat checked)"
done
unheard "[\"$COUNTY\",\"$TOWN\"]" || fail "unheard at $TOWN: $(cat checked)"

note "when it is time"
for code in "$COUNTY" "$TOWN"; do
    stop "$code"
    set_option "$code" replication.first_log="1 s"
    start "$code"
done
within "$PATIENCE" "nobody is listed, and that is sure" checked 0
unheard "[]" || fail "unheard: $(cat checked)"

note "once"
stop "$COUNTY"
start "$COUNTY"
within "$PATIENCE" "the village is sure again" checked 0
sleep 2 # some periods
for code in "$COUNTY" "$TOWN"; do
    check "one log of $code" own_lists "$code" 1
done
check "none at who may not issue" own_lists "$VILLAGE" 0

note "an issuer that lost its store"
check "sure before" checked_at "$COUNTY" 0
stop "$COUNTY"
empty_node "$COUNTY"
set_option "$COUNTY" replication.first_log="1 h"
start "$COUNTY"
within "$PATIENCE" "a node below says what was there" says "$COUNTY" FEED-LOST-LOG
checked_at "$COUNTY" 4 || fail "what it decided is lost, and nobody listed: $(cat checked)"
unheard "[\"$COUNTY\"]" || fail "unheard: $(cat checked)"

note "and decides before it is back"
own_freshness() { # what the issuer says of its newest log
    node_cmd "$COUNTY" directive lists --json |
        jq -r "[.lists[] | select(.issuer == \"$COUNTY\" and .state == \"active\")] | last | .freshness"
}
is_own() { [ "$(own_freshness)" = "$1" ]; }
lost() { status "$COUNTY" '.health.reasons[].id' | grep -qx lists-lost; }
not_lost() { ! lost; }
check "it is an alarm" lost
{
    echo "$LIST_HEADER"
    printf '示例商贸有限公司,913400001000000167,示例认〔2026〕7号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' "${COUNTY:0:6}"
} >one.csv
check "a decision" node_cmd "$COUNTY" directive import one.csv \
    --key "$TREE/fed/deciders/$COUNTY-1.key" --yes --publish >out
is_own stale || fail "what it decided is lost, and its lists are $(own_freshness)"
checked_at "$COUNTY" 4 || fail "what it decided is lost, and that is sure: $(cat checked)"
old=$(logs_of "$TOWN" "select((.log | startswith(\"$COUNTY/directives/\")) and .size == 1) | .log")
check "export below" node_cmd "$TOWN" directive export copy --log "$old" >out
check "import" node_cmd "$COUNTY" directive import copy >out
is_own fresh || fail "all is back, and its lists are $(own_freshness)"
check "the alarm is over" not_lost
