# own_lists.sh - benches of directives (to be sourced by own.sh).
#
# Groups: tree and tree2of3 (a root with 10 children and 100 leaves, all real
# processes: directive, directives_bulk; directive_2of3), lists (a township with
# one village: list_memory, list_check).
#
# When a leaf has a directive is what its log says (LISTS-IN-FORCE: committed,
# and seen by every reader from then on; milliseconds of the one clock of this
# machine). Asking a hundred leaves would be more work than the directives are.
# shellcheck shell=bash

OWN_ROOT=341802000000 OWN_LEAVES=() OWN_PACKAGES=() OWN_NUMBER=0 OWN_SUBJECT=1
OWN_HEADER='主体名称,主体统一社会信用代码,认定文书号,列入事由,列入依据,认定日期,起始日期,截止日期,认定机关,认定机关统一社会信用代码,认定机关行政区划,名单类型,事先告知（公示）文书号,告知（公示）日期,措施编号,移出条件'

own_socket() { echo "$OWN_DIR/$1.sock"; } # CODE: short, as socket paths must be

own_add() { # CODE TIER PARENT
    own_node "$1" "$2" "$3" bench
    printf 'admin: { socket = "%s"; };\n' "$(own_socket "$1")" >>"$(tree_conf "$1")"
}

# FIRST COUNT: credit codes of organisations, counted from 1.
own_codes() {
    [ -s "$OWN_DIR/codes" ] && [ "$(wc -l <"$OWN_DIR/codes")" -ge $(($1 + $2)) ] ||
        "$BENCH_BIN/bench_gen" --rows $(($1 + $2 + 100000)) --subjects $(($1 + $2 + 100000)) \
            --codes >"$OWN_DIR/codes"
    sed -n "$1,$(($1 + $2 - 1))p;$(($1 + $2))q" "$OWN_DIR/codes"
}

# FIRST COUNT DIVISION: listings of these.
own_listings() {
    echo "$OWN_HEADER"
    own_codes "$1" "$2" |
        awk -v division="$3" '{
            printf "示例商贸有限公司,%s,示例认〔2026〕%d号,示例事由,示例条例第十条,", $1, NR
            printf "2026-03-01,2026-03-05,长期,示例法院,11340000200000013H,%s,", division
            print "失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕" }'
}

# ISSUER SIGNERS COUNT ENTRIES: that many packages, signed, into OWN_PACKAGES.
own_packages() {
    local i k path
    OWN_PACKAGES=()
    for ((i = 0; i < $3; i++)); do
        path=$OWN_DIR/package.$OWN_NUMBER
        OWN_NUMBER=$((OWN_NUMBER + 1))
        own_listings $OWN_SUBJECT "$4" "$OWN_DIVISION" >"$OWN_DIR/listings.csv"
        OWN_SUBJECT=$((OWN_SUBJECT + $4))
        rm -f "$path"
        "$BENCH_NODE" directive import -c "$(tree_conf "$1")" "$OWN_DIR/listings.csv" -o "$path" >/dev/null
        for ((k = 1; k <= $2; k++)); do
            "$BENCH_NODE" directive sign "$path" --key "$TREE/fed/deciders/$1-$k.key" >/dev/null
        done
        OWN_PACKAGES+=("$path")
    done
}

own_tree() { # ISSUER-RULE
    local t v code
    export TREE_ISSUERS="000000000000:2:3 $OWN_ROOT:$1"
    own_federation
    OWN_LEAVES=() OWN_NUMBER=0 OWN_SUBJECT=1 OWN_DIVISION=${OWN_ROOT:0:6}
    own_add "$OWN_ROOT" county ''
    for ((t = 1; t <= ${BENCH_MIDDLES:-10}; t++)); do
        own_add "$(printf '341802%03d000' "$t")" township "$OWN_ROOT"
    done
    for ((t = 1; t <= ${BENCH_MIDDLES:-10}; t++)); do
        for ((v = 1; v <= ${BENCH_LEAVES:-10}; v++)); do
            code=$(printf '341802%03d%03d' "$t" $((200 + v)))
            own_add "$code" village "$(printf '341802%03d000' "$t")"
            OWN_LEAVES+=("$code")
        done
    done
    tree_up
    OWN_PIDS=()
    # The first one opens the log; not measured.
    own_packages "$OWN_ROOT" "${1%%:*}" 1 1
    own_publish 1000 "${OWN_PACKAGES[@]}" >/dev/null
}

own_up_tree() { own_tree 1:1; }
own_up_tree2of3() { own_tree 2:3; }

# PAUSE-MS PACKAGE...: publishes, and waits until every leaf has the last one.
# Prints for each package when it was given and when the last leaf had it,
# milliseconds of the day: "NUMBER GIVEN ARRIVED".
own_publish() {
    local pause=$1 last i leaf logs=()
    shift
    "$BENCH_BIN/bench_publish" "$(own_socket "$OWN_ROOT")" "$pause" "$@" >"$OWN_DIR/given"
    last=$(tail -n 1 "$OWN_DIR/given" | cut -d' ' -f1)
    for leaf in "${OWN_LEAVES[@]}"; do
        for ((i = 0; i < 600; i++)); do
            ! grep -q "LISTS-IN-FORCE .* last=$last " "$TREE/$leaf/log" || break
            sleep 0.1
        done
        [ $i -lt 600 ] || { echo "$leaf did not get entry $last" >&2; return 1; }
        logs+=("$TREE/$leaf/log")
    done
    # One commit may bring several packages: the first line that reaches as far
    # as a package says when it came.
    awk 'FILENAME == ARGV[1] { number[++n] = $1; given[n] = $2; next }
        FNR == 1 { next_one = 1 }
        / LISTS-IN-FORCE / {
            split(substr($1, 12, 12), t, ":")
            ms = (t[1] * 3600 + t[2] * 60 + t[3]) * 1000
            match($0, / last=[0-9]+/)
            reached = substr($0, RSTART + 6, RLENGTH - 6) + 0
            for (; next_one <= n && number[next_one] <= reached; next_one++)
                if (ms > arrived[next_one]) arrived[next_one] = ms
        }
        END { for (i = 1; i <= n; i++) print number[i], given[i], arrived[i] }
    ' "$OWN_DIR/given" "${logs[@]}"
}

# BENCH: lines of own_publish as p50_ms, p99_ms, max_ms of the last leaf.
own_print_times() {
    awk '{ ms = $3 - $2; print ms < 0 ? ms + 86400000 : ms }' | sort -n |
        awk -v bench="$1" '{ ms[NR] = $1 }
            function rank(share) { i = int(NR * share); return ms[i < NR * share ? i + 1 : i < 1 ? 1 : i] }
            END { printf "{\"bench\":\"%s\",\"peer\":\"own\",\"directives\":%d,\"p50_ms\":%.1f," \
                "\"p99_ms\":%.1f,\"max_ms\":%.1f}\n", bench, NR, rank(0.5), rank(0.99), ms[NR] }'
}

own_directives() { # BENCH SIGNERS COUNT: single ones, a quarter of a second apart
    own_packages "$OWN_ROOT" "$2" "$3" 1
    own_publish 250 "${OWN_PACKAGES[@]}" | own_print_times "$1"
    rm -f "${OWN_PACKAGES[@]}"
}

# COUNT REPEAT: single directives in packages signed before; from the first byte
# that the root gets until the last of all leaves has it.
# p50_ms, p99_ms, max_ms
own_run_directive() { own_directives directive 1 "$1"; }
own_run_directive_2of3() { own_directives directive_2of3 2 "$1"; }

# ENTRIES REPEAT: in packages of 100, published one behind the other, until the
# last leaf has the last.
# entries, seconds, entries_per_s
own_run_directives_bulk() {
    local count=$((($1 + 99) / 100))
    own_packages "$OWN_ROOT" 1 $count 100
    own_publish 0 "${OWN_PACKAGES[@]}" |
        awk -v entries=$((count * 100)) 'NR == 1 { from = $2 }
            END { s = ($3 - from) / 1000; s = s < 0 ? s + 86400 : s
                printf "{\"bench\":\"directives_bulk\",\"peer\":\"own\",\"entries\":%d," \
                    "\"seconds\":%.3f,\"entries_per_s\":%.0f}\n", entries, s, entries / s }'
    rm -f "${OWN_PACKAGES[@]}"
}

# ---- a village with many entries ----

OWN_TOWN=341802001000 OWN_VILLAGE=341802001200

own_pss_kib() { awk '$1 == "Pss:" { print $2 }' "/proc/$(tree_pid "$1")/smaps_rollup"; }

# ENTRIES: in packages of 10,000, through the township that decides; what the
# village needs before and after, each time freshly started.
own_up_lists() {
    local at
    export TREE_ISSUERS="000000000000:2:3 $OWN_TOWN:1:1"
    own_federation
    OWN_NUMBER=0 OWN_SUBJECT=1 OWN_DIVISION=$OWN_TOWN
    OWN_ROOT=$OWN_TOWN OWN_LEAVES=("$OWN_VILLAGE")
    own_add "$OWN_TOWN" township ''
    own_add "$OWN_VILLAGE" village "$OWN_TOWN"
    tree_up
    own_count_pids "$OWN_TOWN" "$OWN_VILLAGE"
    own_packages "$OWN_TOWN" 1 1 1
    own_publish 0 "${OWN_PACKAGES[@]}" >/dev/null
    own_memory_fresh OWN_PSS_BEFORE
    for ((at = 0; at < $1; at += 10000)); do
        own_packages "$OWN_TOWN" 1 1 $(($1 < 10000 ? $1 : 10000))
        own_publish 0 "${OWN_PACKAGES[@]}" >/dev/null
        rm -f "${OWN_PACKAGES[@]}"
    done
    own_count_pids "$OWN_TOWN" "$OWN_VILLAGE"
}

own_memory_fresh() { # VARIABLE: PSS of the village after a start, in KiB
    tree_stop "$OWN_VILLAGE"
    tree_start "$OWN_VILLAGE"
    sleep "$BENCH_SECONDS"
    printf -v "$1" %s "$(own_pss_kib "$OWN_VILLAGE")"
    own_count_pids "$OWN_TOWN" "$OWN_VILLAGE"
}

# ENTRIES REPEAT: PSS of the village with so many, less that with one.
# more_mib, pss_mib
own_run_list_memory() {
    local kib
    own_memory_fresh kib
    awk -v entries="$1" -v kib="$kib" -v before="$OWN_PSS_BEFORE" 'BEGIN {
        printf "{\"bench\":\"list_memory\",\"peer\":\"own\",\"entries\":%d," \
            "\"pss_mib\":%.1f,\"more_mib\":%.1f}\n", entries, kib / 1024, (kib - before) / 1024 }'
}

# ENTRIES REPEAT: 5,000 subjects in a call, one in a hundred is listed; 50 calls.
# hits, p50_ms, p99_ms
own_run_list_check() {
    local listed=$(($1 < 5000 ? 5 : 50))
    { own_codes 1 $listed; own_codes $(($1 + 20000)) $((5000 - listed)); } >"$OWN_DIR/asked"
    own_client check list_check --server "$(own_address "$OWN_VILLAGE")" --file "$OWN_DIR/asked" \
        --subjects $listed --rows 50
}
