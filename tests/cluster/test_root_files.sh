#!/usr/bin/env bash
# The commands of the root document on files, as keepers use them on machines of
# their own: proposed, shown and signed without a node. One node, the top of its
# tree, says what may be published; how versions spread is test_root.sh's.
. "$(dirname "$0")/lib.sh"

make_small
N=000000000000
keys=$TREE/fed/deciders
one=$TREE/fed/root-document # version 1
cd "$WORK" || exit 1

root() { "$CREDITNODE" root --lang en "$@"; } # needs no node
at_node() { node_cmd "$COUNTY" root "$@"; }
gives() { # STATUS PATTERN COMMAND...: ends so, and says so
    local status=$1 pattern=$2 rc=0
    shift 2
    "$@" >out 2>&1 || rc=$?
    [ $rc = "$status" ] || fail "status $rc, not $status: $*: $(cat out)"
    grep -qE -- "$pattern" out || fail "no word like '$pattern': $*: $(cat out)"
}
new_key() { # NAME: NAME.key, NAME.pub
    local algorithm=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
    [ "$SUITE" = intl ] || algorithm=(-algorithm SM2)
    openssl genpkey "${algorithm[@]}" -out "$1.key" 2>/dev/null &&
        chmod 600 "$1.key" && openssl pkey -in "$1.key" -pubout -out "$1.pub"
}
check "keys" new_key zhao
check "keys" new_key stranger
other=$([ "$SUITE" = intl ] && echo gm || echo intl)
(SUITE=$other && new_key elsewhere) || fail "keys of suite $other"

note "help"
for action in show propose sign publish; do
    gives 0 'A decider.s key was stolen' root "$action" --help
    gives 0 "creditnode root $action " root "$action" --help
done
gives 2 'say what' root
gives 2 'say what' root bury x
gives 2 'name the file to write' root propose --from "$one"
gives 2 'name the document and the key' root sign "$one"
gives 2 'name the document' root publish
gives 2 'wrong option or value' root show --version 0
gives 2 'running node' root show "$one" --version 1

note "version 1"
gives 0 'version 1 of' root show "$one"
check "as it is" cmp <(root show "$one" --text) "$one"
gives 1 'version 1 is not signed' root sign "$one" --key "$keys/$N-1.key"
gives 1 'No such file' root show nothing

note "version 2 replaces a stolen key"
gives 0 'version 2, not signed yet' root propose --from "$one" -o plain
grep -q 'nothing changes' out || fail "an unchanged version has changes: $(cat out)"
gives 0 'Needs 2 more of the keepers of version 1' root propose --from "$one" -o two \
    --remove-decider "$N:$N-3" --add-decider "$N:zhao.pub:Zhao San"
for line in "- $N: decider $N-3" "+ $N: decider Zhao San" 'Needs 2 more of the keepers of version 2'; do
    grep -qF -- "$line" out || fail "not said: $line: $(cat out)"
done
gives 1 'is there already' root propose --from "$one" -o two
propose=(root propose --from "$one" -o wrong)
gives 1 'no decider' "${propose[@]}" --remove-decider "$N:nobody"
gives 1 'no decider' "${propose[@]}" --remove-decider "$N:1234567"
gives 1 '1 <= k <= n' "${propose[@]}" --threshold "$N:4"
gives 1 'already' "${propose[@]}" --add-decider "$N:zhao.pub:$N-1"
gives 1 'must be CODE:PUBLIC-KEY-FILE:NAME' "${propose[@]}" --add-decider "$N:zhao.pub"
gives 1 'no CA' "${propose[@]}" --remove-ca 0000000000
check "nothing was written" [ ! -e wrong ]
# By its key id, which need not be written out.
id=$(root show "$one" --json | jq -r '.issuers[0].deciders[2].key_id')
gives 0 "decider $N-3 \\(${id:0:16}" root propose --from "$one" -o by-id \
    --remove-decider "$N:${id:0:8}" --threshold "$N:1"

note "signed by keepers, and by nobody else"
chmod 640 two
sign() { gives 0 "$4" root sign "$1" --key "$2" --previous "$3"; } # FILE KEY PREVIOUS PATTERN
gives 1 'keeper' root sign two --key stranger.key --previous "$one"
gives 1 'keeper' root sign two --key elsewhere.key --previous "$one"
gives 1 '--previous FILE' root sign two --key "$keys/$N-3.key"
# What is shown would be changes against another text than the one it follows.
gives 1 'follows another version 1' root sign two --key "$keys/$N-1.key" \
    --previous <(cat "$one"; echo '# as if it were')
gives 1 'version 2, expected 3' root sign two --key "$keys/$N-1.key" --previous plain
check "not signed" [ "$(grep -c ^signature two)" = 0 ]
sign two "$keys/$N-1.key" "$one" "Needs 1 more of the keepers of version 1: $N-2, $N-3"
grep -qF "$(root show two --json | jq -r .hash)" out || fail "not said what is signed: $(cat out)"
check "the file's mode stays" [ "$(stat -c %a two)" = 640 ]
cp two once
gives 0 'signed by this key already' root sign two --key "$keys/$N-1.key" --previous "$one"
check "and is as before" cmp two once
sed 's/Zhao San/Zhao Si/' once >altered
gives 1 'does not fit' root sign altered --key "$keys/$N-2.key" --previous "$one"
sign two "$keys/$N-2.key" "$one" 'Signed by enough'
cp once stolen # by the thief and one other: enough of version 1, not of version 2
sign stolen "$keys/$N-3.key" "$one" "Needs 1 more of the keepers of version 2: $N-2, Zhao San"

note "files say of themselves what they are"
sed 's/Zhao San/Zhao Si/' two >altered
gives 1 'does not fit' root show altered
gives 1 'changed after it was signed' root show altered --previous "$one"
gives 0 'can be published' root show two --previous "$one"
gives 1 "1 of the 2 signatures.*asked: $N-2, $N-3" root show once --previous "$one"
gives 0 'no keeper of this version' root show stolen
json() { # STATUS FILTER VALUE FILE...
    local status=$1 filter=$2 value=$3 rc=0
    shift 3
    root show --json "$@" >out 2>err || rc=$?
    [ $rc = "$status" ] && [ "$(jq -r "$filter" out)" = "$value" ] ||
        fail "status $rc, $filter not '$value': show $*: $(cat out err)"
}
json 0 '.signatures | length' 2 two
json 0 '[.signatures[].fits] | all' true two
json 0 '.follows' null two
json 0 '.follows' true two --previous "$one"
json 1 '.follows' false once --previous "$one"
json 1 '[.signatures[].fits] | any' false altered
json 0 '[.issuers[] | select(.keepers)] | length' 1 two
# The bytes stay the only output, so that they can be carried; the status tells.
rc=0
root show once --text --previous "$one" >bytes 2>/dev/null || rc=$?
check "the status tells" [ $rc = 1 ]
check "the bytes as they are" cmp bytes once

note "published at a node"
gives 1 'creditnode: ' at_node publish two # it does not run
start "$COUNTY"
is_version() { [ "$(at_node show --json | jq -r .version)" = "$1" ]; }
gives 1 "0 of the 2 signatures that version 1 asks for; to be asked: $N-1, $N-2, $N-3" at_node publish plain
gives 1 "1 of the 2 signatures that version 1 asks for; to be asked: $N-2, $N-3" at_node publish once
gives 1 "1 of the 2 signatures that version 2 asks for; to be asked: $N-2, Zhao San" at_node publish stolen
gives 1 'changed after it was signed' at_node publish altered
# A signature that is made without the command.
cp two foreign
line=$(root propose --from "$one" -o strangers --add-decider "$N:stranger.pub:X" >/dev/null &&
    root sign strangers --key stranger.key >/dev/null && grep ^signature strangers)
printf '%s\n' "$line" >>foreign
gives 1 'keeps neither version 1 nor 2' at_node publish foreign
check "nothing is in force yet" is_version 1
gives 0 'Version 2 is in force' at_node publish two
check "version 2" is_version 2
gives 0 'Version 2 was known here already' at_node publish two
gives 0 'Version 1 was known here already; version 2 is in force' at_node publish "$one"
check "status has it" is "$COUNTY" .root.hash "$(root show two --json | jq -r .hash)"
check "status says so" grep -qE '^root +version 2, ' <(node_cmd "$COUNTY" status)
check "carried elsewhere" cmp <(at_node show --text) two
check "an older one" cmp <(at_node show --text --version 1) "$one"
gives 1 'version 9 of the root document is not known' at_node show --version 9

note "version 3"
gives 0 'Needs 2 more of the keepers of version 2' at_node propose -o three \
    --remove-decider "$N:$N-1" --threshold "$N:1"
gives 0 '第 3 版，尚未签名' at_node propose -o three-zh --remove-decider "$N:$N-1" --lang zh
for line in "  - $N：决定人 $N-1（" "  * $N：须 2 人签名（共 2 人），原为 2 人（共 3 人）" '要全部保留，提议时加 --last' \
    "还须 2 名第 2 版的保管人签名：$N-1、$N-2、Zhao San" 'root sign three-zh --key'; do
    grep -qF -- "$line" out || fail "not said: $line: $(cat out)"
done
for key in "$keys/$N-2.key" zhao.key; do
    gives 0 '第 3 版已签名' root sign three-zh --key "$key" --previous two --lang zh
done
gives 0 '第 2 版本节点已有；现行第 2 版' at_node publish two --lang zh
grep -qF 'creditnode root publish three-zh' <(root sign three-zh --key zhao.key --previous two --lang zh) ||
    fail "not said what comes next"
check "as from the file" cmp three <(root propose --from two -o same --remove-decider "$N:$N-1" \
    --threshold "$N:1" >/dev/null && cat same)
gives 1 'keeper' root sign three --key "$keys/$N-3.key" --previous two # replaced
sign three "$keys/$N-1.key" two 'Needs 1 more of the keepers of version 2'
sign three zhao.key two 'Signed by enough'
gives 0 'Version 3 is in force' at_node publish three
gives 0 'Versions known here' at_node show
check "three are known" [ "$(at_node show --json | jq '.known | length')" = 3 ]
stop "$COUNTY"
start "$COUNTY"
check "and after a start" is_version 3
