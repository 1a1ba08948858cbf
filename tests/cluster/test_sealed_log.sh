#!/usr/bin/env bash
# An office that is closed for good: nobody signs the heads of its log any more,
# and its certificate counts no more, so whoever lost his copy cannot have it
# again. A seal by an authority above, naming log, size and root, lets it be
# copied; one that names another head does not, and past its end nothing is
# taken, whoever signs.
. "$(dirname "$0")/lib.sh"

TREE_ISSUERS="000000000000:2:3 $COUNTY:2:3 $TOWN:1:1"
make_small
start_all
keys=$TREE/fed/deciders
directive() { node_cmd "$1" directive "${@:2}"; }
decide() { # COMMAND...: by two of the county's three deciders
    rm -f "$WORK/package"
    check "prepare" directive "$COUNTY" "$@" --reason "示例：机构撤销" -o "$WORK/package" >"$WORK/out" &&
        check "first" "$CREDITNODE" directive sign "$WORK/package" --key "$keys/$COUNTY-1.key" --lang en >"$WORK/shown" &&
        check "second" "$CREDITNODE" directive sign "$WORK/package" --key "$keys/$COUNTY-3.key" >/dev/null &&
        check "publish" directive "$COUNTY" publish "$WORK/package" >/dev/null
}
may_not() { # TEXT CODE COMMAND...: refused when it is prepared
    ! directive "${@:2}" --reason x -o "$WORK/no" >"$WORK/out" 2>&1 && grep -q "$1" "$WORK/out" ||
        fail "${*:2}: $(cat "$WORK/out")"
}
sealed_at() { # CODE: size of the seal that is in force there
    directive "$1" nodes --json | jq -r ".nodes[] | select(.what == \"sealed\" and .sealed == \"$log\") | .size"
}
is_sealed_at() { [ "$(sealed_at "$1")" = "$2" ]; }
holds() { [ "$(size_at "$1" "$log")" = "$2" ]; }

check "rows" enter "$VILLAGE" 1 20
check "equal" equal
log=$(own_log "$VILLAGE")
size=$(own_size "$VILLAGE")
root=$(logs_of "$VILLAGE" "select(.log == \"$log\") | .root")

note "the office is closed, and the county's store is lost"
stop "$VILLAGE"
for code in "$COUNTY" "$TOWN"; do
    check "revoke" "$ROOT/certs/revoke.sh" "$TREE/$code/revoked" "$TREE/$VILLAGE/certs/sign.pem" --reason closed
done
stop "$COUNTY"
empty_node "$COUNTY"
start "$COUNTY"
within "$PATIENCE" "the county refuses it" says "$COUNTY" "SYNC-REFUSED.*$log.*was revoked"

note "who may not seal, and what"
may_not "not below this one" "$TOWN" log-seal "$COUNTY/records/0000000000000001" --size 1 --root "$root"
may_not "holds nothing" "$COUNTY" log-seal "$log"
may_not "needs both" "$COUNTY" log-seal "$log" --size "$size"
may_not "no log of records" "$COUNTY" log-seal "${log/records/directives}"
may_not "names all there are" "$TOWN" log-seal "$log" --size 3 --root "$root"
may_not "another root" "$TOWN" log-seal "$log" --size "$size" --root "${root//[0-9]/0}"

note "a seal that names another head"
decide log-seal "$log" --size "$size" --root "${root//[0-9]/0}"
grep -q "sealed.*$log at $size, root ${root//[0-9]/0}" "$WORK/shown" ||
    fail "the deciders do not see what they sign: $(cat "$WORK/shown")"
within "$PATIENCE" "it is in force" is_sealed_at "$TOWN" "$size"
stop "$TOWN"
from=$(($(log_end "$COUNTY") + 1))
start "$TOWN"
within "$PATIENCE" "the county refuses it still" \
    says "$COUNTY" "SYNC-REFUSED.*was revoked.*the seal by $COUNTY names another head" "$from"
[ -z "$(size_at "$COUNTY" "$log")" ] || fail "it was taken"

note "the seal"
decide log-seal "$log" --size "$size" --root "$root"
within "$PATIENCE" "the county has the log again" holds "$COUNTY" "$size"
check "nothing acknowledged is missing" acked "$COUNTY"
check "it is what is sealed" node_cmd "$COUNTY" verify --origin --log "$log" >/dev/null

note "past its end nothing is taken"
mv "$TREE/$VILLAGE/certs" "$WORK/old"
"$ROOT/certs/make-node.sh" "$TREE/fed" "$TREE/$VILLAGE/certs" --tier village --code "$VILLAGE" >/dev/null
start "$VILLAGE"
check "rows" enter "$VILLAGE" 101 5
within "$PATIENCE" "the township refuses it" says "$TOWN" "SYNC-REFUSED.*$log.*ends with entry $size as directive"
holds "$TOWN" "$size" || fail "it was taken"

note "the seal is ended"
decide log-unseal "$log"
within "$PATIENCE" "all is there" equal
[ -z "$(sealed_at "$COUNTY")" ] || fail "it is in force still"
