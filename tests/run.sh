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
The last lines are ctest's summary; the status is 0 only if all passed, up to
four tests of processes perhaps at a second try, by themselves: it names them.
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

# Where a few tests of real processes failed and nothing else, a busy machine
# may have made them late: they run once more, one at a time, and are named.
# What a sanitizer, an assertion or the simulator's model found stands, and so
# does a failed unit.
LATE_AT_MOST=4
log=build/full/Testing/Temporary
only_late() {
    local failed=$log/LastTestsFailed.log
    [ -s $failed ] && [ "$(wc -l <$failed)" -le $LATE_AT_MOST ] &&
        ! grep -qvE '^[0-9]+:((tsan|release)\.)?(cluster|simulator)\.' $failed &&
        ! grep -qE 'Sanitizer|runtime error:|Assertion|it does not hold' $log/LastTest.log
}
once_more() {
    cp $log/LastTest.log build/full/late.log
    echo && echo "Failed beside others (build/full/late.log); once more, by themselves:"
    sed 's/^[0-9]*:/  /' $log/LastTestsFailed.log && echo
    status=0
    ctest --test-dir build/full --rerun-failed --output-on-failure -j1
}

setup_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" "${PACKAGES_TEST[@]}"
setup_packages gojq || say "tests of processes take longer without it"
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
            "-timeout=60 -rss_limit_mb=1024" \
            "\"-artifact_prefix=$ROOT/build/full/\"" \
            "\"$ROOT/build/full/corpus/$name\"" \
            "\"$ROOT/tests/fuzz/$name/seeds\")"
        echo "set_tests_properties(libfuzzer.$name PROPERTIES TIMEOUT 300)"
    done
} >build/full/CTestTestfile.cmake
# Asks nodes of any build (cluster/lib.sh).
export ASKER=$ROOT/build/release/node/creditnode
status=0
"${run[@]}" --test-dir build/full "$@" || status=$?
[ $status -eq 0 ] || ! only_late || once_more || status=$?
exit $status
