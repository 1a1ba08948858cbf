# lists.sh - lists that authorities decide on (to be sourced behind lib.sh).
# shellcheck shell=bash

LISTINGS_MOST=4000
LIST_HEADER="主体名称,主体统一社会信用代码,认定文书号,列入事由,列入依据,认定日期,起始日期,截止日期,认定机关,认定机关统一社会信用代码,认定机关行政区划,名单类型,事先告知（公示）文书号,告知（公示）日期,措施编号,移出条件"

directive() { node_cmd "$1" directive "${@:2}"; } # CODE COMMAND...

# Subjects that listings() names, in their order.
listing_codes() {
    "$BENCH_GEN" --rows "$LISTINGS_MOST" --subjects "$LISTINGS_MOST" --codes
}

# FIRST LAST: decisions of the county on these of the subjects, at most
# LISTINGS_MOST, as CSV; with reasons that do not pack, so that many are more
# than one message.
listings() {
    echo "$LIST_HEADER"
    paste <(listing_codes | sed -n "$1,$2p") \
        <(head -c $((120 * ($2 - $1 + 1))) /dev/urandom | base64 -w 160) |
        awk -v division="${COUNTY:0:6}" '{
            printf "示例商贸有限公司,%s,示例认〔2026〕%d号,%s,示例条例第十条,", $1, NR, $2
            printf "2026-03-01,2026-03-05,长期,示例县法院,11340000200000013H,%s,", division
            print "失信被执行人,示例告〔2026〕7号,2026-02-01,C01,履行完毕" }'
}

# CODE: the last entry of the county's list that counts there.
list_position() {
    directive "$1" lists --json 2>/dev/null |
        jq -r ".lists[] | select(.issuer == \"$COUNTY\") | .position"
}
# CODE: it counts there as far as at the county.
list_arrived() { [ "$(list_position "$1")" = "$(list_position "$COUNTY")" ]; }
