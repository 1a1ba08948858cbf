# shellcheck shell=bash
# Two processes of one node; sourced after lib.sh. CODE is the first one, CODE-b
# the second: a folder of the tree as any other, with the first one's
# certificates and data.
. "$HERE/lists.sh"

# CODE: after its store was put on a database, and before its children start.
second_process() {
    local code=$1 b=$1-b
    cp -a "$TREE/$code" "$TREE/$b"
    sed -i 's|socket = "[^"]*admin.sock"|socket = "'"$TREE/$b"'/admin.sock"|' \
        "$(tree_conf "$b")"
    tree_set_listen "$b" "127.0.0.1:$(next_port)"
    set_option "$code" node.process=a
    set_option "$b" node.process=b
    sed -i "s/^$code\$/$code\n$b/" "$TREE/order"
}

# CHILD CODE: it knows both.
two_parents() {
    set_option "$1" parent.address="127.0.0.1:$(tree_port "$2"), 127.0.0.1:$(tree_port "$2-b")"
}

# CODE of a process: a frozen one does not answer.
process_says() {
    timeout 20 "$CREDITNODE" status -c "$(tree_conf "$1")" --json 2>/dev/null |
        jq -r ".process.$2" 2>/dev/null
}
writes() { [ "$(process_says "$1" writes)" = true ]; }
stands_by() { [ "$(process_says "$1" writes)" = false ]; }
writer_of() { # CODE: which of its processes writes; "" if none does now
    local c
    for c in "$1" "$1-b"; do
        ! writes "$c" || { echo "$c"; return; }
    done
}
has_writer() { [ -n "$(writer_of "$1")" ]; }
other_of() { case $1 in *-b) echo "${1%-b}" ;; *) echo "$1-b" ;; esac; }
# CODE: one writes and the other stands by; sets `writer` and `other`.
find_sides() {
    writer=$(writer_of "$1")
    [ -n "$writer" ] || return 1
    other=$(other_of "$writer")
    stands_by "$other"
}

# ---- a list from above ----

LISTED=913400001000000167
LISTS=0
# OPTION...: of `directive import`; the province decides on LISTED once more, as
# one of TREE_ISSUERS with one decider.
decide_list() {
    LISTS=$((LISTS + 1))
    {
        echo "$LIST_HEADER"
        printf '示例商贸有限公司,%s,示例认〔2026〕%d号,示例事由,示例条例第十条,2026-03-01,2026-03-05,长期,示例省法院,11340000200000013H,%s,失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕\n' \
            "$LISTED" "$LISTS" "${PROVINCE:0:6}"
    } >"$WORK/list.csv"
    check "decide" node_cmd "$PROVINCE" directive import "$WORK/list.csv" \
        --key "$TREE/fed/deciders/$PROVINCE-1.key" --yes "$@" >/dev/null
}
# CODE FIELD: of the province's list there.
listed_at() {
    node_cmd "$1" directive lists --json 2>/dev/null |
        jq -r ".lists[] | select(.issuer == \"$PROVINCE\") | .$2"
}
