#!/usr/bin/env bash
# run.sh - installs what is missing, builds, and runs the tests.
set -euo pipefail

usage() {
    cat <<'EOT'
usage: tests/run.sh [full|quick] [option of ctest...]

  full    (default) everything: units, contracts and real processes with
          address and undefined-behaviour sanitizers; what runs in several
          threads with the thread sanitizer; units of the release build, and
          processes at its speed; every fuzzer for some seconds; clang-tidy.
          Which build tests what: tests/CMakeLists.txt, tests/cluster/
  quick   units and contracts but for the longest, seeds of the fuzzers, checks
          of the sources and a small tree of processes, with sanitizers

On a fresh Debian 12 it installs the packages it needs (as root or by sudo).
The last lines are ctest's summary; the status is 0 only if all passed.
Options go to ctest: tests/run.sh full -R cluster.kill
What a run leaves out for its time: tests/run.sh full -C nightly -R nightly
EOT
}

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../simulate/setup.sh"

mode=full
case ${1:-} in
quick | full) mode=$1 && shift ;;
-h | --help) usage && exit 0 ;;
-* | '') ;;
*) usage >&2 && exit 2 ;;
esac

export LSAN_OPTIONS="suppressions='$here/support/lsan.supp':print_suppressions=0"
export TSAN_OPTIONS="suppressions='$here/support/tsan.supp' halt_on_error=1"
# Twice as many as there are processors: most tests wait more than they work.
run=(ctest -j$((2 * $(nproc))) --output-on-failure --no-tests=error)
cd "$ROOT"

setup_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" "${PACKAGES_TEST[@]}"
setup_build dev
if [ "$mode" = quick ]; then
    exec "${run[@]}" --test-dir build/dev -L quick "$@"
fi
setup_build tsan
setup_build release
mapfile -t fuzzers < <(basename -s .c tests/fuzz/*/fuzz_*.c)
setup_build fuzz -- "${fuzzers[@]}"

# One run over several builds, so that there is one summary: their names tell
# the tests of the builds apart.
mkdir -p build/full
{
    for preset in dev tsan release; do
        echo "subdirs(\"$ROOT/build/$preset/tests\")"
    done
    for fuzzer in "${fuzzers[@]}"; do
        name=${fuzzer#fuzz_}
        mkdir -p "build/full/corpus/$name"
        echo "add_test(libfuzzer.$name \"$ROOT/build/fuzz/tests/$fuzzer\" -max_total_time=3" \
            "-timeout=10 -rss_limit_mb=1024" \
            "\"-artifact_prefix=$ROOT/build/full/\"" \
            "\"$ROOT/build/full/corpus/$name\"" \
            "\"$ROOT/tests/fuzz/$name/seeds\")"
        echo "set_tests_properties(libfuzzer.$name PROPERTIES TIMEOUT 120)"
    done
} >build/full/CTestTestfile.cmake
exec "${run[@]}" --test-dir build/full "$@"
