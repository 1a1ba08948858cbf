# Reads sources of node/ and checks their #include lines: which folder may use
# which other folder, and who may use which library. Prints file:line: what.
#
#   base <- conf <- ident <- mlog <- credit <- store <- rpc
#        <- sync, ingest, health <- api <- node <- cli
#
# A header whose first line says "private to X" is for folder X only.
# Run with -v root=DIR and file names relative to DIR's node/.

BEGIN {
    below = "base"
    may["base"] = below
    may["conf"] = below = below " conf"
    may["ident"] = below = below " ident"
    may["mlog"] = below = below " mlog"
    may["credit"] = below = below " credit"
    may["store"] = below = below " store"
    may["rpc"] = below = below " rpc"
    may["sync"] = below " sync"
    may["ingest"] = below " ingest"
    may["health"] = below " health"
    may["api"] = below = below " sync ingest health api"
    may["node"] = below = below " node"
    may["cli"] = may["main"] = below " cli"

    # Library header (a regular expression) and the files that may name it.
    library("^grpc/", "^node/rpc/")
    library("^openssl/", "^node/ident/")
    library("^rocksdb/", "^node/store/rocksdb/")
    library("^(mysql|mysqld_error|errmsg)[.]h$", "^node/store/mariadb/")
    library("^libconfig[.]h$", "^node/conf/")
    library("^(csv|iconv)[.]h$", "^node/ingest/")
    library("^zstd[.]h$", "^node/mlog/")
    library("^uv[.]h$", "^node/((base|ingest|health|api)/|[^/]+$)")
    library("^jansson[.]h$", "^node/(api|cli)/")
}

function library(header, users)
{
    headers[++libraries] = header
    allowed[libraries] = users
}

function complain(text)
{
    printf "%s:%d: %s\n", file, FNR, text
    faults++
}

# Folder of a file of node/; those directly in it are "node", but the top.
function folder_of(name)
{
    return name ~ /\// ? substr(name, 1, index(name, "/") - 1) \
                        : name == "main.c" ? "main" : "node"
}

function is_private(header,    line, path)
{
    if (!(header in privacy)) {
        path = root "/node/" header
        line = ""
        if ((getline line < path) < 0) {
            line = ""
        }
        close(path)
        privacy[header] = line ~ /private to/
    }
    return privacy[header]
}

function check_own(header,    target)
{
    target = folder_of(header)
    if (header ~ /[.][.]\//) {
        complain("\"" header "\" climbs; write \"folder/header.h\"")
    } else if (header ~ /([.]pb-c|^descriptors)[.]h$/) {
        if (folder !~ /^(rpc|sync|health|api|node|cli)$/) {
            complain(folder " may not use generated messages (" header ")")
        }
    } else if (target == folder) {
        return
    } else if (index(" " may[folder] " ", " " target " ") == 0) {
        complain(folder " may not use " target " (" header ")")
    } else if (is_private(header)) {
        complain(header " is private to " target)
    }
}

function check_library(header,    i)
{
    for (i = 1; i <= libraries; i++) {
        if (header ~ headers[i] && file !~ allowed[i]) {
            complain("<" header "> may be used in " allowed[i] " only")
        }
    }
}

FNR == 1 {
    file = substr(FILENAME, length(root) + 2)
    folder = folder_of(substr(file, 6))
    if (!(folder in may)) {
        complain("folder " folder " has no place among the arrows")
    }
}

/^[ \t]*#[ \t]*include[ \t]*"/ { split($0, part, "\""); check_own(part[2]) }
/^[ \t]*#[ \t]*include[ \t]*</ {
    split($0, part, /[<>]/)
    check_library(part[2])
}

END { exit(faults > 0) }
