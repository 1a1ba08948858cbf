# tree.sh - a hierarchy of real nodes on this machine (to be sourced).
#
# A tree is a folder: fed/ (the federation's CA), NODE-CODE/ for each node
# (certificates, configuration, data, log, pid), order (codes, parents first).
# Nodes listen on 127.0.0.1 at ports that the system chose, or at a fixed one if
# the caller set TREE_NEXT_PORT to a function that prints it. In NODE-CODE/ a
# file `via` names another port to reach the parent at (a relay), a file `set`
# has overrides for --set, one a line.
# shellcheck shell=bash

# Given by the caller: CREDITNODE (program), ROOT (checkout), TREE (folder).
: "${TREE_SUITE:=intl}" "${TREE_FEDERATION:=demo.credit}" "${TREE_READY_S:=30}"

tree_fail() {
    printf '%s\n' "$*" >&2
    return 1
}

# OUT COMMAND [ARG...]: runs the command, which makes the folder that its last
# argument names, added here: OUT. With TREE_MOULDS it is made there once for
# the same command, scripts and month, and copied from then on. TREE_CAST: where
# it was made.
tree_cast() {
    local out=$1 key
    shift
    TREE_CAST=$out
    if [ -n "${TREE_MOULDS:-}" ]; then
        key=$( (printf '%s\n' "$*" && date +%Y-%m && cat "$ROOT/certs/"*.sh) |
            sha256sum)
        TREE_CAST=$TREE_MOULDS/${key:0:16}
        mkdir -p "$TREE_MOULDS"
    fi
    (
        [ "$TREE_CAST" = "$out" ] || flock 9
        if [ ! -d "$TREE_CAST" ]; then
            rm -rf "$TREE_CAST.new"
            "$@" "$TREE_CAST.new" && mv "$TREE_CAST.new" "$TREE_CAST"
        fi >/dev/null || exit 1
        [ "$TREE_CAST" = "$out" ] || cp -a "$TREE_CAST" "$out"
    ) 9>"${TREE_MOULDS:-$TREE}/lock"
}

# [PROVINCE...]: makes the federation with an intermediate for each province.
tree_federation() {
    local args=(--name "$TREE_FEDERATION" --suite "$TREE_SUITE") p
    for p in "$@"; do args+=(--province "$p"); done
    # TREE_ISSUERS: CODE:K:N ..., who may issue directives.
    for p in ${TREE_ISSUERS:-}; do args+=(--issuer "$p"); done
    mkdir -p "$TREE"
    : >"$TREE/order"
    tree_cast "$TREE/fed" "$ROOT/certs/make-federation.sh" "${args[@]}" ||
        tree_fail "cannot make the federation" || return 1
    printf '%s\n' "$TREE_CAST" >"$TREE/cast"
    sha256sum "$TREE/fed/root-document" | cut -d' ' -f1 >"$TREE/root_hash"
}

# Sets KEY = "VALUE" on the first line of FILE that has KEY = "OLD", for each
# KEY OLD VALUE in turn; OLD "*": whatever stands there.
tree_fill() { # FILE [KEY OLD VALUE]...
    local file=$1
    shift
    FILL=$(printf '%s\n' "$@") awk '
        BEGIN {n = split(ENVIRON["FILL"], fill, "\n")}
        {
            at = $0
            sub(/^ +/, "", at)
            for (i = 1; i + 2 <= n; i += 3) {
                key = fill[i] " = \""
                if (!done[i] && index(at, key) == 1 && (fill[i + 1] == "*" ||
                    index(at, key fill[i + 1] "\"") == 1)) {
                    rest = substr(at, length(key) + 1)
                    sub(/^[^"]*/, "", rest)
                    $0 = substr($0, 1, length($0) - length(at)) key \
                        fill[i + 2] rest
                    done[i] = 1
                    break
                }
            }
            print
        }' "$file" >"$file.new" && mv "$file.new" "$file"
}

# CODE OUT TIER: the node's keys and certificates, for localhost.
tree_certify() {
    local cast province
    cast=$(cat "$TREE/cast")
    tree_cast "$2" "$ROOT/certs/make-node.sh" "$cast" --tier "$3" --code "$1" ||
        return 1
    # Made with the first node of its province.
    province=intermediate/${1:0:2}0000000000
    [ -d "$TREE/fed/$province" ] ||
        cp -a "$cast/$province" "$TREE/fed/$province"
}

# CODE TIER PARENT-CODE NAME: certificates and configuration of one node.
# PARENT-CODE "" for the top. Its parent must have been added before.
tree_add() {
    local code=$1 tier=$2 parent=$3 name=$4 dir=$TREE/$1 trust part pairs=()
    mkdir -p "$dir"
    tree_certify "$code" "$dir/certs" "$tier" ||
        tree_fail "no certificates for $code" || return 1
    cp "$ROOT/tiers/common.cfg" "$ROOT/tiers/identity.cfg" "$dir/"
    cp "$ROOT/tiers/$tier.cfg" "$dir/node.cfg"
    tree_fill "$dir/common.cfg" name FILL-IN "$TREE_FEDERATION" \
        root_document FILL-IN "$TREE/fed/root-document" \
        root_hash FILL-IN "$(cat "$TREE/root_hash")" suite intl "$TREE_SUITE"
    for part in tls sign seal; do
        pairs+=(cert FILL-IN "$dir/certs/$part.pem"
            key FILL-IN "$dir/certs/$part.key")
    done
    trust=$dir/certs/signing-ca.pem
    [ -e "$trust" ] || trust=$dir/certs/ca.pem
    tree_fill "$dir/identity.cfg" ca FILL-IN "$dir/certs/ca.pem" \
        "${pairs[@]}" ca FILL-IN "$trust" revoked FILL-IN "$dir/revoked"
    tree_fill "$dir/node.cfg" code FILL-IN "$code" name '*' "$name" \
        dir /var/lib/creditnode "$dir/data" reserve '*' "64 MiB"
    : >"$dir/revoked"
    printf '%s' "$parent" >"$dir/parent"
    printf '%s\n' "$code" >>"$TREE/order"
    tree_set_listen "$code" "127.0.0.1:$(${TREE_NEXT_PORT:-echo 0})"
    [ -n "$parent" ] || tree_set_parent "$code" ""
}

tree_set_listen() { # CODE ADDRESS
    sed -i '/^listen: {/,/^};/s|address = "[^"]*"|address = "'"$2"'"|' \
        "$TREE/$1/node.cfg"
}

tree_set_parent() { # CODE ADDRESS
    sed -i '/^parent: {/,/^};/s|address = "[^"]*"|address = "'"$2"'"|' \
        "$TREE/$1/node.cfg"
}

# Where CODE listens, or will.
tree_port() {
    cat "$TREE/$1/port" 2>/dev/null ||
        sed -n '/^listen: {/,/^};/s|.*127.0.0.1:\([0-9]*\)".*|\1|p' \
            "$TREE/$1/node.cfg"
}
tree_pid() { cat "$TREE/$1/pid" 2>/dev/null; }
tree_conf() { printf '%s/%s/node.cfg' "$TREE" "$1"; }
# PID: a child of this shell that has not ended. Where many tests run, numbers
# come round within a minute: that of one that ended may be anybody's.
tree_runs() {
    awk -v shell=$$ '/^State:/ {ended = $2 == "Z"} /^PPid:/ {ours = $2 == shell}
        END {exit ended || !ours}' "/proc/$1/status" 2>/dev/null
}
tree_alive() { local p; p=$(tree_pid "$1") && [ -n "$p" ] && tree_runs "$p"; }

# CODE: starts the node and returns without waiting.
tree_spawn() {
    local code=$1 dir=$TREE/$1 parent port line set=()
    parent=$(cat "$dir/parent")
    if [ -n "$parent" ]; then
        port=$(cat "$dir/via" 2>/dev/null || tree_port "$parent")
        tree_set_parent "$code" "127.0.0.1:$port"
    fi
    if [ -e "$dir/set" ]; then
        while read -r line; do set+=(--set "$line"); done <"$dir/set"
    fi
    printf -- '--- start ---\n' >>"$dir/log"
    # shellcheck disable=SC2086 # TREE_RUN may hold several words
    ${TREE_RUN:-} "$CREDITNODE" serve -c "$dir/node.cfg" "${set[@]}" \
        >>"$dir/log" 2>&1 &
    echo $! >"$dir/pid"
}

# CODE: waits for the READY line of the newest start; keeps the port.
tree_await() {
    local dir=$TREE/$1 port i
    for ((i = 0; i < TREE_READY_S * 50; i++)); do
        port=$(awk '/^--- start ---/ {p = ""} / READY / {
            for (i = 1; i <= NF; i++) if ($i ~ /^port=/) p = substr($i, 6)}
            END {print p}' "$dir/log")
        if [ -n "$port" ]; then
            printf '%s' "$port" >"$dir/port"
            [ "$port" = 0 ] || tree_set_listen "$1" "127.0.0.1:$port"
            return 0
        fi
        tree_alive "$1" || break
        sleep 0.02
    done
    tail -n 5 "$dir/log" >&2
    tree_fail "node $1 did not come up"
}

tree_start() { tree_spawn "$1" && tree_await "$1"; }

# CODE: SIGTERM, then waits for a clean end; non-zero if it was not clean.
tree_stop() {
    local pid
    pid=$(tree_pid "$1")
    [ -n "$pid" ] || return 0
    ! tree_runs "$pid" || kill "$pid" 2>/dev/null || true
    tree_gone "$pid" $((TREE_READY_S * 20)) || { kill -9 "$pid" 2>/dev/null; tree_fail "node $1 had to be killed"; }
    local rc=0
    wait "$pid" 2>/dev/null || rc=$?
    rm -f "$TREE/$1/pid"
    [ "$rc" -eq 0 ] || [ "$rc" -eq 127 ] || tree_fail "node $1 ended with status $rc"
}

tree_kill() { # CODE: kill -9
    local pid
    pid=$(tree_pid "$1")
    ! tree_runs "$pid" || kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -f "$TREE/$1/pid"
}

tree_gone() { # PID TWENTIETHS: waits so many of a second for a process to end
    local i
    for ((i = 0; i < $2; i++)); do
        tree_runs "$1" || return 0
        sleep 0.05
    done
    return 1
}

# Parents first; siblings come up side by side.
tree_up() {
    local code tier last='' wave=()
    while read -r code; do
        tier=$(sed -n 's/^ *tier = "\(.*\)";.*/\1/p' "$TREE/$code/node.cfg" | head -n 1)
        if [ "$tier" != "$last" ]; then
            tree_await_all "${wave[@]}" || return 1
            wave=()
            last=$tier
        fi
        tree_spawn "$code"
        wave+=("$code")
    done <"$TREE/order"
    tree_await_all "${wave[@]}"
}

tree_await_all() {
    local code
    for code in "$@"; do tree_await "$code" || return 1; done
}

# Children first. Non-zero if any node did not end cleanly.
tree_down() {
    local code rc=0
    [ -e "$TREE/order" ] || return 0
    while read -r code; do tree_stop "$code" || rc=1; done < <(tac "$TREE/order")
    return $rc
}

tree_confs() { while read -r code; do tree_conf "$code"; echo; done <"$TREE/order"; }
