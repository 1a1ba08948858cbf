#!/usr/bin/env bash
# A department writes rows of every kind to an exchange table while the node
# and the server of the table are killed again and again: every row gets the
# outcome that it has by what it says, every record is in the log once, a change
# of a row is one version, and the tiers above are equal.
#   test_exchange.sh [TIMES]
. "$(dirname "$0")/lib.sh"

TIMES=${1:-3}
ROWS=200 # of one load
allow STORE-FULL STORE-CORRUPT STORE-BACKGROUND

make_small
NODE=$TOWN
[ "${STORE:-}" != mariadb ] || NODE=$COUNTY
[ -d "$SERVER" ] || server_make
cat >>"$(tree_conf "$NODE")" <<END
exchange: {
    socket = "$SERVER/socket"; database = "exchange"; user = "creditnode";
    interval = "100 ms"; batch = 20; timeout = "5 s"; connect_timeout = "2 s";
    tables = ({ table = "water"; item = "licence"; });
};
END
server_sql "CREATE DATABASE exchange; CREATE USER creditnode; CREATE USER DEPARTMENT"
check "schema" node_cmd "$NODE" exchange schema water \
    --set parent.address=127.0.0.1:1 >"$WORK/schema.sql"
check "the schema is SQL" server_sql "$(cat "$WORK/schema.sql")"
start_all

count() { server_sql "SELECT COUNT(*) FROM exchange.water WHERE $1"; }
has() { [ "$(count "$1" 2>/dev/null)" = "$2" ]; } # WHERE COUNT
decided() { has "x_status=0 AND x_switch=1" 0; }

# FIRST: ROWS rows, what they are told by the last digit: 0 a code that is none,
# 1 a deletion, 2 a flag that is none, 3 held back, 4 what row 5 says, too.
load() {
    mariadb --no-defaults -uDEPARTMENT --socket="$SERVER/socket" exchange -Ne "
        INSERT INTO water(x_change,x_switch,XK_XDR_MC,XK_XDR_LB,XK_XDR_SHXYM,
            XK_FRDB,XK_XKWS,XK_WSH,XK_XKLB,XK_NR,XK_JDRQ,XK_YXQZ,XK_YXQZI,
            XK_XKJG,XK_XKJGDM,XK_ZT,XK_LYDW,XK_LYDWDM)
        WITH RECURSIVE s(seq) AS (SELECT $1 UNION ALL
            SELECT seq+1 FROM s WHERE seq<$(($1 + ROWS - 1)))
        SELECT CASE seq%10 WHEN 1 THEN 'D' WHEN 2 THEN 'X' ELSE 'I' END,
            seq%10<>3,'样例公司','法人及非法人组织',
            IF(seq%10=0,'91999900MA000100X8','91999900MA000100X7'),'赵样',
            '决定书',CONCAT('样许',IF(seq%10=4,seq+1,seq)),'普通','一',
            '2026-3-2','2026-3-2','长期','样例局','11230500001755309F','1',
            '样例局','11230500001755309F'
        FROM s"
}

# On a slow machine the node would not catch up with what is loaded.
has_room() { [ "$(count "x_status=0 AND x_switch=1" 2>/dev/null || echo 0)" -lt $((2 * ROWS)) ]; }
loaded=0
load_for_ever() {
    while [ ! -e "$WORK/enough" ]; do
        # Sent again if it is not known whether it came: not rows of ours.
        has_room && load $((loaded * ROWS + 1)) 2>/dev/null || { sleep 0.2; continue; }
        loaded=$((loaded + 1))
        # In one step: whoever reads finds a number.
        echo $loaded >"$WORK/loads.new"
        mv "$WORK/loads.new" "$WORK/loads"
        sleep 0.1
    done
}
loads() { cat "$WORK/loads" 2>/dev/null || echo 0; }
more_than() { [ "$(loads)" -gt "${1:?no number}" ]; }
# Asked while the server is there.
taken() { count x_status=1 || fail "the server does not answer"; }
some_taken() { [ "$(count "x_status=1" 2>/dev/null || echo 0)" -gt "${1:?no number}" ]; }

load_for_ever &
loader=$!
PROCESSES+=("$loader")
for ((i = 1; i <= TIMES; i++)); do
    within "$PATIENCE" "load" more_than "$(loads)"
    within "$PATIENCE" "rows are taken" some_taken "$(taken)"
    kill_node "$NODE"
    start "$NODE"
    within "$PATIENCE" "rows are taken after a kill" some_taken "$(taken)"
    from=$(log_end "$NODE")
    server_kill
    within "$PATIENCE" "the node says that the server is away" \
        says "$NODE" '(EXCHANGE-STOPPED|STORE-FULL) .*MariaDB' "$from"
    server_start
done
: >"$WORK/enough"
wait "$loader"
within "$PATIENCE" "every row is decided" decided

# Whether a load came twice or not at all, records say: each is of one row.
records=$(server_sql "SELECT COUNT(DISTINCT XK_WSH) FROM exchange.water WHERE
    x_switch=1 AND x_change='I' AND XK_XDR_SHXYM='91999900MA000100X7'")
note "$(loads) loads, $records records"
check "bad rows" has "x_switch=1 AND x_change='I' AND
    XK_XDR_SHXYM='91999900MA000100X8' AND NOT (x_status=2 AND
    x_rule='uscc-check')" 0
check "deletions" has "x_change='D' AND NOT (x_status=2 AND x_rule='deletion')" 0
check "flags" has "x_change='X' AND NOT (x_status=2 AND x_rule='change-flag')" 0
check "held rows stay" has "x_switch=0 AND x_status<>0" 0
check "each record is new once" has "x_outcome='new'" "$records"
check "no row of a good kind is left" has "x_switch=1 AND x_change='I' AND
    XK_XDR_SHXYM='91999900MA000100X7' AND
    (x_status<>1 OR x_outcome NOT IN ('new','unchanged'))" 0
check "numbers are those of one entry each" [ "$(server_sql "SELECT
    COUNT(*)-COUNT(DISTINCT x_number) FROM exchange.water WHERE
    x_outcome='new'")" = 0 ]
check "the log holds each record once" holds_rows "$NODE" "$records"

# Changes, and a kill among them.
change="UPDATE exchange.water SET XK_NR='二',x_change='U',x_status=0 WHERE
    x_outcome='new' AND x_id%7=0"
changes=$(count "x_outcome='new' AND x_id%7=0")
server_sql "$change"
kill_node "$NODE"
start "$NODE"
within "$PATIENCE" "changes are decided" decided
check "each change is one version" \
    has "x_outcome='changed' AND x_version=2" "$changes"
check "the log holds each version once" holds_rows "$NODE" $((records + changes))
# A server that is away, the store's too perhaps, keeps nobody from stopping.
again="x_outcome IN ('new','changed')"
changes=$((changes + $(count "$again")))
server_sql "UPDATE exchange.water SET XK_NR='三',x_change='U',x_status=0
    WHERE $again"
some_changed() { [ "$(count "XK_NR='三' AND x_status=1")" -gt 0 ]; }
within "$PATIENCE" "some changes are taken" some_changed
server_kill
stop "$NODE"
server_start
start "$NODE"
within "$PATIENCE" "the other changes are decided" decided
check "the log holds each version once" holds_rows "$NODE" $((records + changes))
within "$PATIENCE" "the table runs" is "$NODE" '.exchange[0].why' ''
within "$PATIENCE" "no reason left" is "$NODE" '.health.reasons | any(.id | startswith("exchange"))' false
check "equal everywhere" equal
