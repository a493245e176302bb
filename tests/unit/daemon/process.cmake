p2prc_test(daemon_process
  SOURCES bind_failure_test.cpp config_test.cpp data_directories_test.cpp exec_failure_test.cpp exit_reason_test.cpp job_queues_test.cpp logged_end_test.cpp plan_test.cpp port_target_test.cpp reconciler_test.cpp systemd_bus_test.cpp measuring_test.cpp
    transient_unit_test.cpp usage_test.cpp
  DEPENDS p2prc_daemon_process p2prc_daemon_config p2prc_test_bus)

# The exposure that systemd-analyze may find in our units at most, times ten.
find_program(SYSTEMD_ANALYZE systemd-analyze REQUIRED)
foreach(limit p2prcd:30 p2prc-edge:16 p2prc-connector:16)
  string(REPLACE ":" ";" parts ${limit})
  list(GET parts 0 unit)
  list(GET parts 1 threshold)
  add_test(NAME units.${unit}.exposure
    COMMAND ${SYSTEMD_ANALYZE} security --offline=true --no-pager --threshold=${threshold}
      ${PROJECT_BINARY_DIR}/units/${unit}.service)
  set_tests_properties(units.${unit}.exposure PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
