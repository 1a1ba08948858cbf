#!/usr/bin/env bash
# What office staff read: help, labels and errors in the language of the locale,
# the same for programs whatever it is, and what a terminal may do.
. "$(dirname "$0")/lib.sh"

make_small
start_all
SAMPLES=$ROOT/simulate/samples
conf=$(tree_conf "$VILLAGE")

# STATUS PATTERN COMMAND...: ends so and says so
ends() {
    local want=$1 pattern=$2 rc=0
    shift 2
    "$@" >"$WORK/out" 2>&1 </dev/null || rc=$?
    [ $rc -eq "$want" ] || fail "$*: status $rc, not $want: $(cat "$WORK/out")"
    grep -qE -- "$pattern" "$WORK/out" || fail "$*: says $(cat "$WORK/out")"
}
in_locale() { # LOCALE COMMAND ARG...: at the village
    env -u LC_MESSAGES -u LANG LC_ALL="$1" "$CREDITNODE" "$2" -c "$conf" "${@:3}"
}
zh() { in_locale zh_CN.UTF-8 "$@"; }

# ---- help ----

# LANG ARG...: on 80 columns
help_of() {
    "$CREDITNODE" "${@:2}" --help --lang "$1" >"$WORK/help.$1" || fail "help $*"
    [ "$(wc -L <"$WORK/help.$1")" -le 80 ] || fail "wider than 80 columns: $* in $1"
}
# What no translation may lose: options, and statuses by their numbers.
facts() { grep -oE -- '(^|[^a-z-])--?[a-z][a-z-]*|[0-6][:：]' "$1" | sed 's/^[^-0-9]//; s/：/:/' | sort -u; }
help_of en
help_of zh
grep -q '公共信用信息平台节点程序' "$WORK/help.zh" || fail "no Chinese: $(cat "$WORK/help.zh")"
mapfile -t commands < <(sed -n 's/^  \([a-z-]*\) .*/\1/p' "$WORK/help.en")
[ "${commands[*]}" = "$(sed -n 's/^  \([a-z-]*\) .*/\1/p' "$WORK/help.zh" | tr '\n' ' ' | sed 's/ $//')" ] ||
    fail "other commands: $(cat "$WORK/help.zh")"
[ ${#commands[@]} -ge 18 ] || fail "${#commands[@]} commands"
for command in "${commands[@]}"; do
    help_of en "$command"
    help_of zh "$command"
    grep -q "^用法：creditnode $command" "$WORK/help.zh" || fail "$command: $(cat "$WORK/help.zh")"
    diff <(facts "$WORK/help.en") <(facts "$WORK/help.zh") >&2 || fail "help of $command says something else in Chinese"
done
ends 0 '^用法：creditnode import' env LC_ALL=zh_CN.UTF-8 "$CREDITNODE" help import
ends 2 '没有命令“stauts”' env LC_ALL=zh_CN.UTF-8 "$CREDITNODE" stauts

# ---- errors ----

sed '1s/,XK_NR,/,/; 2,$d' "$SAMPLES/licences-dirty.csv" >"$WORK/short.csv"
ends 1 '缺少：.*XK_NR' zh import "$WORK/short.csv"
ends 1 '没有这个文件或目录' zh import "$WORK/none.csv"
ends 1 'lacks: .*XK_NR' zh import "$WORK/short.csv" --lang en
ends 2 '请指明文件，或只用 --stdin；用法见：creditnode import --help' zh import
ends 2 '--state “asleep”：请写 active' zh logs --state asleep
ends 1 '不是统一社会信用代码（统一社会信用代码应为18位）' zh query 123
ends 1 '本节点没有上级|没有发布节点|没有为' zh directive list-add 主体名称=甲 --dry-run
ends 1 'is the node running' in_locale C status -s "$WORK/none.sock"
ends 1 '节点是否正在按此配置运行' zh status -s "$WORK/none.sock"
ends 1 'none.cfg：无法访问：没有这个文件或目录' env LC_ALL=zh_CN.UTF-8 "$CREDITNODE" status -c "$WORK/none.cfg"
printf 'node: { code = "FILL-IN"; };\n' >"$WORK/fill.cfg"
ends 1 'fill.cfg:1: node.code 仍是占位符' env LC_ALL=zh_CN.UTF-8 "$CREDITNODE" check-config -c "$WORK/fill.cfg"
ends 1 'fill.cfg:1: node.code still has the placeholder' env LC_ALL=zh_CN.UTF-8 "$CREDITNODE" serve -c "$WORK/fill.cfg"
# A terminal of another encoding shows no Chinese of this one.
ends 1 'is the node running' in_locale zh_CN.GB18030 status -s "$WORK/none.sock"
ends 1 '节点是否正在' in_locale zh_CN status -s "$WORK/none.sock"
ends 1 '节点是否正在' in_locale C status -s "$WORK/none.sock" --lang zh

# ---- receipts ----

# Some spreadsheets take a file without the mark for one of the system's own
# encoding. Each line has as many cells.
cp "$SAMPLES/licences-dirty.csv" "$WORK/dirty.csv"
whole() { # RECEIPT CELLS
    [ "$(head -c 3 "$1")" = $'\xef\xbb\xbf' ] || fail "no mark: $(head -n 1 "$1")"
    awk -v n="$2" '{ sub(/\r$/, ""); gsub(/""/, ""); gsub(/"[^"]*"/, "x"); if (split($0, a, ",") != n) { print; bad = 1 } }
        END { exit bad }' "$1" >&2 || fail "cells are missing: $(cat "$1")"
}
zh import --receipt "$WORK/r" "$WORK/dirty.csv" "$WORK/short.csv" >"$WORK/out" 2>&1
[ $? -eq 1 ] || fail "import: $(cat "$WORK/out")"
grep -q '注意：第 [0-9]* 列“自定义列”不是已知的数据项' "$WORK/out" || fail "no note: $(cat "$WORK/out")"
whole "$WORK/r" 10
grep -q '^0,"refused",.*"file",".*lacks.*","第 1 行：表头.*缺少' "$WORK/r" || fail "the whole file: $(cat "$WORK/r")"
grep -q '"uscc-check",".*","统一社会信用代码校验码错误' "$WORK/r" || fail "a row: $(cat "$WORK/r")"
stop "$VILLAGE"
mkdir -p "$WORK/inbox"
set_option "$VILLAGE" inbox.path="$WORK/inbox"
set_option "$VILLAGE" inbox.settle="100 ms"
start "$VILLAGE"
for file in dirty short; do
    cp "$WORK/$file.csv" "$WORK/inbox/.$file" && mv "$WORK/inbox/.$file" "$WORK/inbox/$file.csv"
done
within "$PATIENCE" "short.csv" test -e "$WORK/inbox/rejected/short.csv"
within "$PATIENCE" "dirty.csv" test -e "$WORK/inbox/done/dirty.csv"
whole "$WORK/inbox/rejected/short.csv.receipt.csv" 9
whole "$WORK/inbox/done/dirty.csv.receipt.csv" 9
grep -q '^0,refused,.*第 1 行：表头.*缺少' "$WORK/inbox/rejected/short.csv.receipt.csv" || fail "in Chinese: $(cat "$WORK"/inbox/rejected/*.csv)"
grep -q '^0,note,.*“自定义列”' "$WORK/inbox/done/dirty.csv.receipt.csv" || fail "a note: $(cat "$WORK/inbox/done/dirty.csv.receipt.csv")"

# ---- tables, and what programs read ----

check "equal" equal
ends 0 '^日志 +条数 +根 +状态 +上级已持有' zh logs
grep -qE "^$VILLAGE/records/.* 在用 +乡镇 [0-9]+，县 [0-9]+" "$WORK/out" || fail "logs: $(cat "$WORK/out")"
ends 0 ' 一致$| 一致 ' zh verify
grep -q '^与 127.0.0.1:[0-9]* 比对 [1-9][0-9]* 个日志，0 个不一致' "$WORK/out" || fail "verify: $(cat "$WORK/out")"
ends 0 '^发现错误 0 处' zh scrub
ends 0 '索引已重建' zh reindex
ends 0 '^日志 +条目 +效力 +原因' zh issues
for command in "status" "logs" "issues" "verify" "query 91999900MA000100X7" "catalogue" "directive lists" "directive nodes"; do
    read -r -a words <<<"$command"
    words=("${words[0]}" --json "${words[@]:1}")
    # Times and counters differ from call to call.
    zh "${words[@]}" | jq '[paths | map(if type == "number" then "-" else . end)] | unique' >"$WORK/zh"
    in_locale C "${words[@]}" | jq '[paths | map(if type == "number" then "-" else . end)] | unique' >"$WORK/en"
    [ -s "$WORK/en" ] && cmp "$WORK/en" "$WORK/zh" >&2 || fail "$command --json has another shape in Chinese"
done
zh logs --json | jq -e '.rows | length > 0 and all(.state == "active")' >/dev/null || fail "words of programs are translated"

"$ROOT/certs/revoke.sh" "$WORK/revoked" "$TREE/$COUNTY/certs/sign.pem" --reason "密钥丢失" ||
    fail "revoke.sh"
grep -q '密钥丢失$' "$WORK/revoked" || fail "a reason in Chinese: $(cat "$WORK/revoked")"

# ---- where it is written to ----

ends 1 'No space left on device; what the command was to do is done' \
    bash -c '"$0" "$@" >/dev/full' "$CREDITNODE" logs -c "$conf" --lang en
"$CREDITNODE" logs -c "$conf" --json 2>"$WORK/err" | head -c 1 >/dev/null
[ ! -s "$WORK/err" ] || fail "a pipe that is closed early: $(cat "$WORK/err")"

on_terminal() { SHELL=$BASH script -qec "$1" /dev/null </dev/null; }
shown() { # ENV...: logs on a terminal
    on_terminal "env -u NO_COLOR $* '$CREDITNODE' logs -c '$conf' --lang en" >"$WORK/tty"
    grep -q "$VILLAGE/records" "$WORK/tty" || fail "on a terminal: $(cat -v "$WORK/tty")"
    grep -q $'\033' "$WORK/tty"
}
if on_terminal true >/dev/null 2>&1; then
    shown TERM=xterm || fail "no bold heading"
    ! shown TERM=dumb || fail "TERM=dumb: $(cat -v "$WORK/tty")"
    ! shown TERM=xterm NO_COLOR=1 || fail "NO_COLOR: $(cat -v "$WORK/tty")"
    on_terminal "env TERM=dumb '$CREDITNODE' watch --until-equal 60 --lang en '$conf'" >"$WORK/tty"
    ! grep -q $'\033' "$WORK/tty" || fail "watch, TERM=dumb: $(cat -v "$WORK/tty")"
else
    note "no terminal can be had (devpts): what is shown on one is left out"
fi

# ---- who may not ----

if [ "$(id -u)" -eq 0 ]; then
    chmod 711 "$WORK"
    install -m 755 "$CREDITNODE" "$WORK/program"
    ends 1 'Permission denied; run this as root, or as the node.s user' \
        env LSAN_OPTIONS=detect_leaks=0 setpriv --reuid nobody --regid nogroup --clear-groups \
        "$WORK/program" status -s "$TREE/$VILLAGE/admin.sock" --lang en
fi
