# Benchmarks (tests/bench/run.sh): programs, no tests, but for the rows that
# both sides load.
set(BENCH_DIR ${CMAKE_CURRENT_SOURCE_DIR}/bench)

add_library(bench_support STATIC ${BENCH_DIR}/measure.c)
target_include_directories(bench_support PUBLIC ${BENCH_DIR})
target_link_libraries(bench_support PUBLIC sim_rows m PRIVATE warnings)

function(bench_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE bench_support warnings)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/bench)
endfunction()

bench_program(bench_gen ${BENCH_DIR}/gen.c)
if(prefix STREQUAL "tsan.")
  return() # its rows are all that is needed
endif()
bench_program(bench_disk ${BENCH_DIR}/disk.c)
bench_program(bench_publish ${BENCH_DIR}/publish.c)
target_link_libraries(bench_publish PRIVATE cn_api)

file(GLOB own_sources CONFIGURE_DEPENDS ${BENCH_DIR}/own/*.c)
bench_program(bench_client ${own_sources})
target_link_libraries(bench_client PRIVATE cn_rpc)

pkg_check_modules(MARIADB IMPORTED_TARGET libmariadb)
if(MARIADB_FOUND)
  file(GLOB peer_sources CONFIGURE_DEPENDS ${BENCH_DIR}/peer/*.c)
  bench_program(bench_mariadb ${peer_sources})
  target_link_libraries(bench_mariadb PRIVATE PkgConfig::MARIADB)
else()
  message(STATUS "bench_mariadb is not built: libmariadb (Debian: "
                 "libmariadb-dev) is not installed")
endif()

if(prefix STREQUAL "")
  add_executable(bench_test_rows ${BENCH_DIR}/test_rows.c)
  target_link_libraries(bench_test_rows PRIVATE bench_support warnings
                        PkgConfig::CMOCKA)
  add_test(NAME unit.bench.test_rows COMMAND bench_test_rows)
  set_tests_properties(unit.bench.test_rows PROPERTIES LABELS quick TIMEOUT 120)
  return()
endif()

# Proves that run.sh and the own side run, with the build that is measured; its
# figures mean nothing, so the trees are small and nothing has to come to rest.
# What is left out is what others do too: other signers, another store, only a
# look at memory.
add_test(NAME ${prefix}bench.smoke
  COMMAND ${BENCH_DIR}/run.sh --side own --rows 1000 --repeats 1 --seconds 1
          --except directive_2of3 --except point_query --except idle_memory
          --build ${CMAKE_BINARY_DIR}
          --json ${CMAKE_CURRENT_BINARY_DIR}/bench/smoke.jsonl)
set_tests_properties(${prefix}bench.smoke PROPERTIES LABELS full TIMEOUT 600
  COST 35
  ENVIRONMENT "TMPDIR=${CMAKE_CURRENT_BINARY_DIR}/bench;BENCH_QUIET_S=0;BENCH_LEAVES=1;BENCH_MIDDLES=2;BENCH_CHILDREN=2;BENCH_LEAST=5;BENCH_POOL=64M")
