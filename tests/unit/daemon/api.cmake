p2prc_test(daemon_api
  SOURCES api/concerned_test.cpp api/helpers_test.cpp api/manager_test.cpp api/method_table_test.cpp api/objects_test.cpp
          api/polkit_test.cpp api/problems_test.cpp api/readiness_test.cpp api/units_test.cpp
  DEPENDS p2prc_daemon_api p2prc_test_bus)
