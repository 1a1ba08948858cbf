# Its own folder of the build tree, so that tests/run.sh can take these tests
# of several builds into one run.
if(TARGET creditnode)
  add_subdirectory(cluster)
endif()
