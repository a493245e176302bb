p2prc_test(state
  SOURCES fleet_state_test.cpp state_test.cpp state_power_test.cpp ../support/power_cut.cpp
  DEPENDS p2prc_daemon_state)
