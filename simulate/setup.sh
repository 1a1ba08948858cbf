# setup.sh - what a fresh Debian or Ubuntu machine lacks (to be sourced).
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

PACKAGES_BUILD=(gcc libc6-dev cmake ninja-build pkg-config protobuf-c-compiler
    libgrpc-dev libprotobuf-c-dev libssl-dev libuv1-dev libconfig-dev
    librocksdb-dev libzstd-dev libcsv-dev libjansson-dev libmariadb-dev)
PACKAGES_RUN=(openssl procps)
PACKAGES_TEST=(libcmocka-dev clang clang-tidy clang-format libclang-rt-dev llvm jq
    git iproute2 nodejs npm mariadb-server-core mariadb-client galera-4)

say() { printf '%s\n' "$*" >&2; }

# Installs those of the named Debian packages that are missing. A program of
# the same name counts too: it may come from another source (npm).
setup_packages() {
    local missing=() p
    command -v dpkg-query >/dev/null || {
        say "this script installs Debian packages; elsewhere install: $*"
        return 0
    }
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null |
            grep -q 'install ok installed' || command -v "$p" >/dev/null ||
            missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing: ${missing[*]}"
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    local log
    log=$(mktemp)
    if ! { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        say "could not install the packages named above"
        return 1
    fi
    rm -f "$log"
}

# PRESET [CMAKE-OPTION...] [-- TARGET...]: configures and builds in build/PRESET.
setup_build() {
    local preset=$1 log options=()
    shift
    while [ $# -gt 0 ]; do
        [ "$1" != -- ] || { shift && break; }
        options+=("$1") && shift
    done
    log=$(mktemp)
    say "building ($preset)"
    if ! { (cd "$ROOT" && cmake --preset "$preset" "${options[@]}") &&
        ninja -C "$ROOT/build/$preset" "$@"; } >"$log" 2>&1; then
        grep -aE 'error|FAILED|CMake Error' "$log" | head -n 40 >&2
        tail -n 15 "$log" >&2
        rm -f "$log"
        say "the build failed"
        return 1
    fi
    rm -f "$log"
}
