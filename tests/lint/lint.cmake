# Checks of the sources that no compiler makes; what each does: lint.sh.
set(lint ${CMAKE_CURRENT_LIST_DIR})
foreach(check includes banned format loglines text)
  add_test(NAME lint.${check} COMMAND ${lint}/lint.sh ${check})
endforeach()
add_test(NAME lint.self COMMAND ${lint}/self.sh)
set_tests_properties(lint.includes lint.banned lint.format lint.loglines
  lint.text lint.self PROPERTIES LABELS quick TIMEOUT 300 SKIP_RETURN_CODE 77)

add_test(NAME lint.tidy COMMAND ${lint}/tidy.sh ${CMAKE_BINARY_DIR})
set_tests_properties(lint.tidy
  PROPERTIES LABELS slow TIMEOUT 1800 SKIP_RETURN_CODE 77 PROCESSORS 2
             COST 1000)
# The same, as far as the analyzer goes by itself.
add_test(NAME nightly.lint.tidy CONFIGURATIONS nightly
         COMMAND ${lint}/tidy.sh ${CMAKE_BINARY_DIR})
set_tests_properties(nightly.lint.tidy
  PROPERTIES LABELS slow TIMEOUT 7200 SKIP_RETURN_CODE 77 PROCESSORS 2
             COST 1000 ENVIRONMENT TIDY_NODES=225000)
