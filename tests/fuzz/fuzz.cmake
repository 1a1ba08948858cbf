# tests/fuzz/<target>/fuzz_<target>.c: each target is built with
# replay_main.c and run over its seeds as test fuzz.<target>. With
# -DCREDITNODE_FUZZ=ON and clang it is also built as the libFuzzer program
# fuzz_<target>. A target links the modules whose headers it includes.
function(fuzz_link program source)
  file(STRINGS ${source} includes REGEX "^#include \"[a-z]+/")
  foreach(line ${includes})
    string(REGEX REPLACE "^#include \"([a-z]+)/.*" "\\1" module "${line}")
    if(TARGET cn_${module})
      target_link_libraries(${program} PRIVATE cn_${module})
    endif()
  endforeach()
  target_link_libraries(${program} PRIVATE cn_base warnings)
  target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
endfunction()

function(fuzz_target source)
  get_filename_component(folder ${source} DIRECTORY)
  get_filename_component(target ${folder} NAME)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})

  set(replay fuzz_replay_${target})
  add_executable(${replay} ${source}
                 ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.c)
  fuzz_link(${replay} ${source})
  add_test(NAME fuzz.${target} COMMAND ${replay} ${folder}/seeds)
  set_tests_properties(fuzz.${target} PROPERTIES LABELS quick TIMEOUT 120
                       ENVIRONMENT "${LEAKS}")

  if(CREDITNODE_FUZZ)
    add_executable(fuzz_${target} ${source})
    fuzz_link(fuzz_${target} ${source})
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
  endif()
endfunction()

if(CREDITNODE_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "CREDITNODE_FUZZ needs clang: cmake --preset fuzz")
endif()
file(GLOB fuzz_sources CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/tests/fuzz/*/fuzz_*.c)
foreach(source ${fuzz_sources})
  fuzz_target(${source})
endforeach()
