#!/usr/bin/env bash
# A package on a slow line that is cut in its middle: half of it is there and
# nothing of it counts; after that it comes as a whole. A child whose
# certificate is revoked or has expired hears nothing more.
. "$(dirname "$0")/lib.sh"
. "$HERE/lists.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:1:1"
make_small
for code in "$COUNTY" "$TOWN" "$VILLAGE"; do
    set_option "$code" replication.renew="400 ms"
    # A slow line is no dead one: its pings come behind what it carries.
    set_option "$code" rpc.keepalive_timeout="60 s"
done
make_relay "$TOWN"
start_all
key=$TREE/fed/deciders/$COUNTY-1.key
first=$(listing_codes | head -n 1)
last=$(listing_codes | tail -n 1)
listed() { [ "$(node_cmd "$1" query "$2" --json 2>/dev/null | jq -r '.listings | length')" = "$3" ]; } # CODE SUBJECT COUNT
# FIELD: of the county's log at the township.
at_town() { directive "$TOWN" lists --json 2>/dev/null | jq -r ".lists[] | select(.issuer == \"$COUNTY\") | .$1"; }
half_there() { [ "$(at_town size)" -gt 10 ] && [ "$(at_town position)" -lt 10 ]; }
has_log() { [ "$(at_town position)" = 4 ]; }

listings 4000 4000 >"$WORK/one.csv"
check "open the log" directive "$COUNTY" import "$WORK/one.csv" --key "$key" --yes --publish >/dev/null
within "$PATIENCE" "the township has it" has_log
listings 1 3999 >"$WORK/many.csv"

note "slow, and cut in the middle"
line "$TOWN" rate 30000
check "a large package" directive "$COUNTY" import "$WORK/many.csv" --key "$key" --yes --publish >/dev/null
within "$PATIENCE" "a part of it is there" half_there
line "$TOWN" freeze down # no more, however long it takes to ask
note "$(at_town size) entries of it are held"
listed "$TOWN" "$first" 0 || fail "half a package counts"
listed "$VILLAGE" "$first" 0 || fail "half a package counts in the village"
line "$TOWN" cut
kill_node "$TOWN"
start "$TOWN"
listed "$TOWN" "$first" 0 || fail "half a package counts after a start"
half_there || fail "what was there is gone, or all of it is: $(at_town size)"

note "and joined"
line "$TOWN" join
line "$TOWN" rate 0
for code in "$TOWN" "$VILLAGE"; do
    within "$PATIENCE" "$code has it whole" list_arrived "$code"
    listed "$code" "$first" 1 || fail "$code does not list the first"
done
[ "$(logs_of "$TOWN" "select(.log | startswith(\"$COUNTY/directives/\")) | .root")" = \
    "$(logs_of "$COUNTY" "select(.log | startswith(\"$COUNTY/directives/\")) | .root")" ] || fail "another root"

note "a certificate expires: the feed ends by name, and no new one begins"
certs=$TREE/$VILLAGE/certs
stop "$VILLAGE"
cp -a "$certs" "$WORK/good"
at_village() { directive "$VILLAGE" lists --json 2>/dev/null | jq -r ".lists[] | select(.issuer == \"$COUNTY\") | .freshness"; }
village_is() { [ "$(at_village)" = "$1" ]; }
fed_in_time() {
    until village_is fresh; do
        openssl x509 -checkend 0 -noout -in "$certs/tls.pem" >/dev/null || return 1
        sleep 0.05
    done
}
# On a slow machine it expires before anything is fed.
for life in 15 30 90; do
    "$ROOT/certs/make-node.sh" "$TREE/fed" "$WORK/short.$life" --tier village --code "$VILLAGE" \
        --not-after "$life seconds" >/dev/null || fail "make-node"
    cp "$WORK/short.$life/tls.pem" "$WORK/short.$life/tls.key" "$certs/"
    tree_start "$VILLAGE" && fed_in_time && break
    kill_node "$VILLAGE" # if it came up at all
done
check "it is fed" tree_alive "$VILLAGE"
within "$PATIENCE" "its feed ends" says "$VILLAGE" "FOLLOW-LOST.*the certificate of $VILLAGE has expired"
within "$PATIENCE" "it is denied by name" says "$TOWN" "FEED-DENIED.*the certificate of $VILLAGE has expired"
# Its upload is silent, so no message brings it to light.
within "$PATIENCE" "its open upload ends, too" says "$TOWN" "SYNC-DENIED.*child=$VILLAGE.*has expired"
E=91340000100000059L
listings 4000 4000 | sed "s/$last/$E/" >"$WORK/expired.csv"
check "a decision meanwhile" directive "$COUNTY" import "$WORK/expired.csv" --key "$key" --yes --publish >/dev/null
within "$PATIENCE" "the township lists it" listed "$TOWN" "$E" 1
from=$(($(log_end "$TOWN") + 1))
stop "$TOWN"
start "$TOWN"
within "$PATIENCE" "on a new line it fails in TLS" says "$TOWN" "RPC-HANDSHAKE.*verify failed" "$from"
within "$PATIENCE" "without news the lists are stale" village_is stale
listed "$VILLAGE" "$E" 0 || fail "it was given to one whose certificate had expired"
listed "$VILLAGE" "$first" 1 || fail "what it held is gone"
cp "$WORK/good/tls.pem" "$WORK/good/tls.key" "$certs/"
kill -HUP "$(tree_pid "$VILLAGE")"
within "$PATIENCE" "renewed, it has what it missed" listed "$VILLAGE" "$E" 1

note "a certificate is revoked"
from=$(($(log_end "$COUNTY") + 1))
"$ROOT/certs/revoke.sh" "$TREE/$COUNTY/revoked" "$TREE/$TOWN/certs/tls.pem" --reason stolen >/dev/null
kill -HUP "$(tree_pid "$COUNTY")"
within "$PATIENCE" "the feed is denied, too" says "$COUNTY" "FEED-DENIED.*the certificate of $TOWN was revoked" "$from"
within "$PATIENCE" "the township's stream was ended" says "$TOWN" "FOLLOW-LOST.*the certificate of $TOWN was revoked"
listings 4000 4000 | sed "s/$last/91340000100000032W/" >"$WORK/late.csv"
check "a later decision" directive "$COUNTY" import "$WORK/late.csv" --key "$key" --yes --publish >/dev/null
is_stale() { [ "$(at_town freshness)" = stale ]; }
within "$PATIENCE" "without news the lists are stale" is_stale
listed "$TOWN" 91340000100000032W 0 || fail "it was given to a revoked one"
listed "$TOWN" "$first" 1 || fail "what it held is gone"
