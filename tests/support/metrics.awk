# metrics.awk - is this the text format of Prometheus (0.0.4), and nothing else?
# Status 1 and the reason for the first line that is not. Stricter than a
# scraper: each family has its help and type, once, before its samples, and
# these stand together; names have the program's prefix; counters end in _total
# and are no less than 0; no series twice; labels only as they are listed.
function bad(why) {
    printf "line %d: %s: %s\n", NR, why, $0 > "/dev/stderr"
    failed = 1
    exit 1
}
BEGIN {
    name = "^creditnode_[a-z]+(_[a-z]+)*$"
    known["kind"] = known["reason"] = known["state"] = known["use"] = 1
    known["from"] = known["child"] = 1
    known["code"] = known["tier"] = known["version"] = 1
}
/^# HELP / {
    if ($3 !~ name || ($3 in help) || NF < 5) bad("help")
    help[$3] = 1
    pending = $3
    next
}
/^# TYPE / {
    if (NF != 4 || $3 != pending || ($3 in type)) bad("type")
    if ($4 != "gauge" && $4 != "counter") bad("type")
    if (($4 == "counter") != ($3 ~ /_total$/)) bad("name of a counter")
    type[$3] = $4
    family = $3
    pending = ""
    next
}
/^#/ || /^$/ { bad("neither help, type nor sample") }
{
    if (pending != "") bad("a sample before its type")
    if (!match($0, /^[a-z_]+/)) bad("name")
    metric = substr($0, 1, RLENGTH)
    rest = substr($0, RLENGTH + 1)
    if (metric != family) bad("a sample outside its family")
    labels = ""
    if (substr(rest, 1, 1) == "{") {
        if (!match(rest, /^\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\}/)) bad("labels")
        labels = substr(rest, 2, RLENGTH - 2)
        rest = substr(rest, RLENGTH + 1)
        n = split(labels, pair, ",")
        for (i = 1; i <= n; i++) {
            split(pair[i], kv, "=")
            if (!(kv[1] in known)) bad("label " kv[1])
            if (kv[2] !~ /^"[A-Za-z0-9.+_-]+"$/) bad("value of " kv[1])
        }
    }
    if (rest !~ /^ -?[0-9]+(\.[0-9]+)?$/) bad("number")
    if (type[family] == "counter" && rest + 0 < 0) bad("a counter below 0")
    if ((metric, labels) in series) bad("twice")
    series[metric, labels] = 1
    samples[metric]++
}
END {
    if (failed) exit 1
    if (pending != "") bad("help without type")
    for (f in type) if (!(f in samples)) bad("no sample of " f)
    if (!("creditnode_up" in samples)) bad("no creditnode_up")
}
