# The simulator's commands as a person uses them.
function(simulator_test name label timeout)
  add_test(NAME simulator.${name}
           COMMAND ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/test_${name}.sh)
  set_tests_properties(simulator.${name} PROPERTIES
    LABELS ${label} TIMEOUT ${timeout}
    ENVIRONMENT "${LEAKS};CREDITSIM=$<TARGET_FILE:creditsim>;CREDITNODE=$<TARGET_FILE:creditnode>")
endfunction()
simulator_test(pure quick 120)
simulator_test(run slow 600)
simulator_test(faults slow 600)
simulator_test(area slow 900)
simulator_test(crowd full 300)
# Real trees.
set_tests_properties(simulator.run simulator.faults simulator.area PROPERTIES
  PROCESSORS 2)
