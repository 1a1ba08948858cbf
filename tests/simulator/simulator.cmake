# A node with a fault that a test chooses (planted.c).
add_executable(planted simulator/planted.c ${PROJECT_SOURCE_DIR}/node/main.c)
target_link_libraries(planted PRIVATE node_core warnings)
set(wrapped fresh_judge store_listings recv_segment checkpoint_verify
  group_take bridge_root store_succeed record_digest mask_identifier store_logs
  store_mark_forked row_map_get group_index)
list(TRANSFORM wrapped PREPEND "-Wl,--wrap=")
target_link_options(planted PRIVATE ${wrapped})

# The simulator's commands as a person uses them.
function(simulator_test name label timeout)
  add_test(NAME simulator.${name}
           COMMAND ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/test_${name}.sh)
  set_tests_properties(simulator.${name} PROPERTIES
    LABELS ${label} TIMEOUT ${timeout}
    ENVIRONMENT "${LEAKS};CREDITSIM=$<TARGET_FILE:creditsim>;CREDITNODE=$<TARGET_FILE:creditnode>;PLANTED=$<TARGET_FILE:planted>")
endfunction()
simulator_test(pure quick 120)
simulator_test(run slow 600)
simulator_test(faults slow 900)
simulator_test(area slow 900)
simulator_test(plants slow 600)
simulator_test(crowd full 300)
# Real trees, that wait more than they work; the longest begin first: seconds on
# an idle machine.
set_tests_properties(simulator.plants PROPERTIES COST 110 TIMEOUT 900)
set_tests_properties(simulator.faults PROPERTIES COST 70)
set_tests_properties(simulator.area PROPERTIES COST 60)
set_tests_properties(simulator.run PROPERTIES COST 40)
