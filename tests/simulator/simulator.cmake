# The simulator's commands as a person uses them.
add_test(NAME simulator.pure
         COMMAND ${CMAKE_CURRENT_LIST_DIR}/test_pure.sh)
set_tests_properties(simulator.pure PROPERTIES LABELS quick TIMEOUT 120
  ENVIRONMENT "${LEAKS};CREDITSIM=$<TARGET_FILE:creditsim>")

add_test(NAME simulator.run
         COMMAND ${CMAKE_CURRENT_LIST_DIR}/test_run.sh)
set_tests_properties(simulator.run PROPERTIES LABELS slow TIMEOUT 600
  PROCESSORS 2
  ENVIRONMENT "${LEAKS};CREDITSIM=$<TARGET_FILE:creditsim>;CREDITNODE=$<TARGET_FILE:creditnode>")

add_test(NAME simulator.faults
         COMMAND ${CMAKE_CURRENT_LIST_DIR}/test_faults.sh)
set_tests_properties(simulator.faults PROPERTIES LABELS slow TIMEOUT 600
  PROCESSORS 2
  ENVIRONMENT "${LEAKS};CREDITSIM=$<TARGET_FILE:creditsim>;CREDITNODE=$<TARGET_FILE:creditnode>")

add_test(NAME simulator.area
         COMMAND ${CMAKE_CURRENT_LIST_DIR}/test_area.sh)
set_tests_properties(simulator.area PROPERTIES LABELS slow TIMEOUT 900
  PROCESSORS 2
  ENVIRONMENT "${LEAKS};CREDITSIM=$<TARGET_FILE:creditsim>;CREDITNODE=$<TARGET_FILE:creditnode>")
