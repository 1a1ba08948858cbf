#!/usr/bin/env bash
# The root document changes while the tree runs: proposed at one node, signed by
# keepers on machines of their own, published at any node, in force at all, also
# at those that were away. A stolen key alone changes nothing; two texts of one
# version part the neighbours, by name, and nothing is altered by it.
. "$(dirname "$0")/lib.sh"

allow ROOT-FORKED ROOT-CA
make_small
start_all
keys=$TREE/fed/deciders
cn() { "$CREDITNODE" "$@" --lang en; }
version() { node_cmd "$1" root show --json 2>/dev/null | jq -r .version; }
hash_of() { node_cmd "$1" root show --json 2>/dev/null | jq -r .hash; }
at() { [ "$(version "$1")" = "$2" ]; } # CODE VERSION
everywhere() { # VERSION
    local code
    for code in "$VILLAGE" "$TOWN" "$COUNTY"; do
        within "$PATIENCE" "$code has version $1" at "$code" "$1"
    done
}
sign() { # FILE PREVIOUS DECIDER...
    local file=$1 previous=$2 who
    shift 2
    for who in "$@"; do
        check "signed by $who" cn root sign "$file" --key "$keys/$who.key" --previous "$previous" >"$WORK/out"
    done
}
refused() { # PATTERN COMMAND...
    local pattern=$1
    shift
    ! "$@" >"$WORK/out" 2>&1 || fail "taken: $*"
    grep -qE -- "$pattern" "$WORK/out" || fail "no reason like '$pattern': $(cat "$WORK/out")"
}
N=000000000000

check "import" enter "$VILLAGE" 1 50
check "equal" equal
check "version 1" at "$VILLAGE" 1
node_cmd "$VILLAGE" root show --text >"$WORK/root-1" || fail "show --text"
check "the file of the federation" cmp "$WORK/root-1" "$TREE/fed/root-document"

note "a stolen key is replaced"
mkdir "$WORK/new"
algorithm=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
[ "$SUITE" = intl ] || algorithm=(-algorithm SM2)
openssl genpkey "${algorithm[@]}" -out "$keys/new.key" 2>/dev/null
chmod 600 "$keys/new.key"
openssl pkey -in "$keys/new.key" -pubout -out "$WORK/new.pub"
propose=(node_cmd "$VILLAGE" root propose)
refused 'no decider' "${propose[@]}" -o "$WORK/x" --remove-decider "$N:nobody"
refused 'is an issuer already' "${propose[@]}" -o "$WORK/x" --add-issuer "$N:1"
refused 'must be CODE:K' "${propose[@]}" -o "$WORK/x" --threshold "$N:0"
refused '1 <= k <= n' "${propose[@]}" -o "$WORK/x" --threshold "$N:9"
check "propose" "${propose[@]}" -o "$WORK/root-2" --remove-decider "$N:$N-3" \
    --add-decider "$N:$WORK/new.pub:Zhao San" >"$WORK/out"
grep -q -- "- $N: decider $N-3" "$WORK/out" || fail "no word of what changes: $(cat "$WORK/out")"
check "propose more" "${propose[@]}" -o "$WORK/more" --add-issuer 341800000000:1 \
    --add-decider "341800000000:$WORK/new.pub:City" --threshold "$N:3" >"$WORK/out"
grep -q "+ 341800000000 may issue directives, by 1 of 1" "$WORK/out" &&
    grep -q "\* $N: 3 of 3 instead of 2 of 3" "$WORK/out" &&
    grep -q 'Needs 2 more of the keepers of version 1' "$WORK/out" ||
    fail "not all changes are named: $(cat "$WORK/out")"
refused 'is there already' "${propose[@]}" -o "$WORK/root-2"
refused '0 of the 2 signatures' node_cmd "$VILLAGE" root publish "$WORK/root-2"
# Who holds the stolen key and another one cannot.
cp "$WORK/root-2" "$WORK/stolen"
sign "$WORK/stolen" "$WORK/root-1" "$N-1" "$N-3"
refused "version 2 asks for; to be asked: $N-2, Zhao San" node_cmd "$TOWN" root publish "$WORK/stolen"
refused 'not the key of a keeper' cn root sign "$WORK/root-2" --key "$keys/$N-3.key"
refused "not a keeper's key" cn root sign "$WORK/root-2" --key "$TREE/$TOWN/certs/sign.key" --previous "$WORK/root-1"
sign "$WORK/root-2" "$WORK/root-1" "$N-1" "$N-2"
grep -q 'Signed by enough' "$WORK/out" || fail "not said that it is enough: $(cat "$WORK/out")"
check "signed already" cn root sign "$WORK/root-2" --key "$keys/$N-1.key"
sed 's/Zhao San/Zhao Si/' "$WORK/root-2" >"$WORK/altered"
refused 'changed after it was signed' node_cmd "$TOWN" root publish "$WORK/altered"
check "show of a file" cn root show "$WORK/root-2" --previous "$WORK/root-1" >"$WORK/out"
check "nothing is in force yet" at "$COUNTY" 1
check "publish at the village" node_cmd "$VILLAGE" root publish "$WORK/root-2" >/dev/null
everywhere 2
check "again" node_cmd "$COUNTY" root publish "$WORK/root-2" >"$WORK/out"
grep -q 'known here already' "$WORK/out" || fail "not said: $(cat "$WORK/out")"
check "an older one" node_cmd "$COUNTY" root publish "$WORK/root-1" >/dev/null
check "records go on" enter "$VILLAGE" 1001 50
check "equal" equal

note "a node that was away, and kill -9"
stop "$TOWN"
check "propose" node_cmd "$COUNTY" root propose -o "$WORK/root-3" --threshold "$N:3" >/dev/null
sign "$WORK/root-3" "$WORK/root-2" "$N-1" "$N-2"
refused 'version 3 asks for; to be asked: Zhao San' node_cmd "$COUNTY" root publish "$WORK/root-3"
sign "$WORK/root-3" "$WORK/root-2" new
check "publish at the county" node_cmd "$COUNTY" root publish "$WORK/root-3" >/dev/null
check "the village has it not" at "$VILLAGE" 2
start "$TOWN"
everywhere 3
for code in "$VILLAGE" "$TOWN" "$COUNTY"; do kill_node "$code"; done
start_all
everywhere 3
check "the file is the same" [ "$(hash_of "$VILLAGE")" = "$(hash_of "$COUNTY")" ]
check "check-config knows it" node_cmd "$TOWN" check-config >/dev/null
check "records go on" enter "$VILLAGE" 2001 50
check "equal" equal

note "a CA that is no longer named"
mkdir "$WORK/fed2"
"$ROOT/certs/make-federation.sh" "$WORK/fed2/f" --name "$TREE_FEDERATION" --suite "$SUITE" >/dev/null
ca=ca.pem
[ "$SUITE" = intl ] || ca=signing-ca.pem
check "propose" node_cmd "$COUNTY" root propose -o "$WORK/root-4" --add-ca "$WORK/fed2/f/$ca" >/dev/null
sign "$WORK/root-4" "$WORK/root-3" "$N-1" "$N-2" new
check "publish" node_cmd "$TOWN" root publish "$WORK/root-4" >/dev/null
everywhere 4
alarm() { status "$1" '.health.reasons[].id' | grep -qx "$2"; }
! alarm "$TOWN" root-ca || fail "alarm though all CAs are named"
old=$(openssl x509 -in "$TREE/fed/$ca" -outform DER | sha256sum | cut -d' ' -f1)
check "propose" node_cmd "$COUNTY" root propose -o "$WORK/root-5" --remove-ca "${old:0:16}" >/dev/null
sign "$WORK/root-5" "$WORK/root-4" "$N-1" "$N-2" new
check "publish" node_cmd "$COUNTY" root publish "$WORK/root-5" >/dev/null
everywhere 5
for code in "$VILLAGE" "$TOWN" "$COUNTY"; do
    within "$PATIENCE" "$code raises the alarm" alarm "$code" root-ca
    within "$PATIENCE" "$code says so" says "$code" "ROOT-CA .*root document"
done
check "propose" node_cmd "$COUNTY" root propose -o "$WORK/root-6" --add-ca "$TREE/fed/$ca" >/dev/null
sign "$WORK/root-6" "$WORK/root-5" "$N-1" "$N-2" new
check "publish" node_cmd "$COUNTY" root publish "$WORK/root-6" >/dev/null
everywhere 6
no_alarm() { ! alarm "$@"; }
within "$PATIENCE" "the alarm is over" no_alarm "$TOWN" root-ca

note "two texts of one version"
stop "$TOWN"
check "propose" node_cmd "$COUNTY" root propose -o "$WORK/left" --threshold "$N:2" >/dev/null
check "propose" node_cmd "$VILLAGE" root propose -o "$WORK/right" --threshold "$N:1" >/dev/null
for side in left right; do sign "$WORK/$side" "$WORK/root-6" "$N-1" "$N-2" new; done
check "publish left" node_cmd "$COUNTY" root publish "$WORK/left" >/dev/null
check "publish right" node_cmd "$VILLAGE" root publish "$WORK/right" >/dev/null
left=$(hash_of "$COUNTY") right=$(hash_of "$VILLAGE")
check "they differ" [ "$left" != "$right" ]
start "$TOWN"
forked() { says "$TOWN" ROOT-FORKED && alarm "$TOWN" root-forked; }
within "$PATIENCE" "the township names the fork" forked
check "the county keeps its text" [ "$(hash_of "$COUNTY")" = "$left" ]
check "the village keeps its text" [ "$(hash_of "$VILLAGE")" = "$right" ]
check "the village still enters" enter "$VILLAGE" 3001 50
# The federation decides which one counts; the other file goes away by hand.
for code in "$TOWN" "$VILLAGE"; do
    stop "$code"
    kept=$TREE/$code/data/root/00000007
    cmp -s "$WORK/left" "$kept" || rm -f "$kept"
done
start "$TOWN"
start "$VILLAGE"
everywhere 7
check "one text everywhere" [ "$(hash_of "$VILLAGE")" = "$left" ]
no_alarm() { ! alarm "$1" root-forked; }
for code in "$VILLAGE" "$TOWN" "$COUNTY"; do
    within "$PATIENCE" "$code alarms no more" no_alarm "$code"
done
check "equal" equal
check "all of it" acked "$TOWN" "$COUNTY"
