#!/usr/bin/env bash
# A bit flipped in a store is found before anything is signed, answered or
# forwarded on it, is named, and what was damaged comes back from parent or
# child.
#   test_bit_flip.sh CODE-OF-TIER
. "$(dirname "$0")/lib.sh"

allow STORE-CORRUPT STORE-DAMAGED STORE-FAULT STORE-REBUILD SYNC-UNREADABLE \
    STORE-BACKGROUND RECOVER
make_small
victim=${1:-$TOWN}
ROWS=3000
set_option "$victim" store.write_buffer="256 KiB"
set_option "$victim" store.cache="1 MiB"
# It stays, so that it can be asked while damaged; test_bit_flip_repair.sh restarts.
set_option "$victim" store.repair=manual
start_all
check "import" enter "$VILLAGE" 1 $ROWS
check "equal" equal
stop "$victim"
cp -a "$TREE/$victim/data" "$WORK/good"

tables() { find "$TREE/$victim/data/store" -name '*.sst' -size +8k | sort; }
check "there are tables on disk" [ "$(tables | wc -l)" -gt 0 ]

flip() { # FILE OFFSET
    local byte
    byte=$(od -An -tu1 -j "$2" -N1 "$1")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %x $((byte ^ 16)))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Every wrong answer would differ from what the good copy says.
codes=$("$BENCH_GEN" --first 1 --rows $ROWS --subjects 50 --codes | head -n 16)
answers() { # CODE: of all subjects; errors are left out, wrong data is not
    local subject
    for subject in $codes; do
        node_cmd "$1" query --json --limit 1000 "$subject" 2>/dev/null |
            jq -c '.records[]' 2>/dev/null
    done | sort
}
start "$victim"
answers "$victim" >"$WORK/right"
check "there are answers" [ -s "$WORK/right" ]
stop "$victim"

RANDOM=${SEED:=$$}
note "seed $SEED"
found=0
for ((i = 1; i <= 5; i++)); do
    mapfile -t files < <(tables)
    file=${files[RANDOM % ${#files[@]}]}
    size=$(stat -c %s "$file")
    offset=$(((RANDOM * 32768 + RANDOM) % size))
    flip "$file" "$offset"
    from=$(($(log_end "$victim") + 1))
    note "flip $i: ${file##*/} at $offset of $size"
    if tree_start "$victim" 2>"$WORK/refusal"; then
        if says "$victim" 'STORE-REBUILD .*result=ok' "$from"; then
            found=$((found + 1))
            right() { answers "$victim" >"$WORK/now" && cmp -s "$WORK/right" "$WORK/now"; }
            within "$PATIENCE" "all answers are there again" right
            note "start: rebuilt"
        fi
        answers "$victim" >"$WORK/now"
        comm -13 "$WORK/right" "$WORK/now" >"$WORK/wrong"
        [ ! -s "$WORK/wrong" ] || fail "wrong answers: $(head -n 2 "$WORK/wrong")"
        rc=0
        node_cmd "$victim" scrub >"$WORK/scrub" 2>&1 || rc=$?
        if ! cmp -s "$WORK/right" "$WORK/now"; then
            says "$victim" STORE-CORRUPT "$from" || fail "an answer is missing and nothing was said"
        fi
        if [ $rc -eq 0 ] && ! cmp -s "$WORK/right" "$WORK/now"; then
            # The logs are whole: the index can be made anew from them.
            found=$((found + 1))
            check "reindex" node_cmd "$victim" reindex >/dev/null
            answers "$victim" >"$WORK/now"
            check "the index is right again" cmp "$WORK/right" "$WORK/now"
            note "index: made anew"
        elif [ $rc -ne 0 ]; then
            found=$((found + 1))
            grep -qE '/records/|index|table|sst' "$WORK/scrub" ||
                fail "scrub names nothing: $(cat "$WORK/scrub")"
            note "scrub: $(sed -n 2p "$WORK/scrub")"
        fi
        stop "$victim"
    else
        # Refused at once, by name.
        found=$((found + 1))
        tail -n 3 "$TREE/$victim/log" | grep -qiE 'corrupt|damaged|checksum|log [0-9]{12}' ||
            fail "no reason: $(tail -n 3 "$TREE/$victim/log")"
        note "start: $(tail -n 1 "$TREE/$victim/log")"
        rm -f "$TREE/$victim/pid"
    fi
    rm -rf "${TREE:?}/$victim/data"
    cp -a "$WORK/good" "$TREE/$victim/data"
done
check "most flips were found" [ "$found" -ge 2 ]

# The damaged store is laid aside: a new one fills from parent and child.
rm -rf "${TREE:?}/$victim/data/store"
start "$victim"
check "more rows" enter "$VILLAGE" $((ROWS + 1)) 20
check "equal" equal
check "everything is there again" acked "$victim" "$COUNTY"
check "scrub" node_cmd "$victim" scrub >/dev/null
