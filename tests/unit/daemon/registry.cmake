p2prc_test(registry
  SOURCES registry/access_test.cpp registry/damaged_rows_test.cpp registry/domain_test.cpp registry/families_test.cpp registry/local_registry_test.cpp registry/member_test.cpp registry/owned_test.cpp
    registry/process_test.cpp
  DEPENDS p2prc_daemon_registry)
