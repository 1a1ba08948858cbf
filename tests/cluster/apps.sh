# apps.sh - apps that call a node by gRPC (to be sourced behind lib.sh).
# shellcheck shell=bash

# NAME SCOPES: its certificate. Nodes are told by grant.
make_app() {
    "$ROOT/certs/make-app.sh" "$TREE/fed" "$WORK/app-$1" --name "$1" \
        --scopes "$2" --ca "$PROVINCE" "${@:3}" >/dev/null ||
        fail "certificate of app $1"
}

# CODE NAME SCOPES [NAME SCOPES]...: before the node starts.
grant() {
    local code=$1 list='' scopes
    shift
    while [ $# -gt 0 ]; do
        scopes=$(sed 's/[^,]*/"&"/g' <<<"$2")
        list+="${list:+, }$(sed "s/scopes = .*\]/scopes = [$scopes]/" "$WORK/app-$1/entry")"
        shift 2
    done
    sed -i '/^apps = /d' "$TREE/$code/node.cfg"
    printf 'apps = ( %s );\n' "$list" >>"$TREE/$code/node.cfg"
}

# MESSAGE FILE-OF-PROTO: text to bytes and back.
pb_encode() { protoc-c --proto_path="$ROOT/proto" --encode="$1" "$2"; }
pb_decode() { protoc-c --proto_path="$ROOT/proto" --decode="$1" "$2"; }

# APP CODE METHOD: request as text on standard input, reply as text; what is
# refused goes to $WORK/refusal.
ask() {
    local package=query file=query.proto
    [ "$3" != Submit ] || package=ingest file=ingest.proto
    pb_encode "creditnode.$package.v1.$3Request" "$file" |
        "$BIN/call" "127.0.0.1:$(tree_port "$2")" "$WORK/app-$1" \
            "/creditnode.$package.v1.${package^}/$3" \
            2>"$WORK/refusal" >"$WORK/reply" || return 1
    pb_decode "creditnode.$package.v1.$3Reply" "$file" <"$WORK/reply"
}

# APP CODE METHOD ERROR: request as above, refused by this name.
refused() {
    ! ask "$1" "$2" "$3" >/dev/null || fail "$1 was answered $3 at $2"
    grep -q "^$4: ." "$WORK/refusal" ||
        fail "not refused as $4: $(cat "$WORK/refusal")"
}

# FILE: as bytes in the text form of protobuf.
pb_bytes() { od -An -v -tx1 "$1" | sed 's/ /\\x/g' | tr -d '\n'; }
