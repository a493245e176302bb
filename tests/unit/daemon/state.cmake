p2prc_test(state
  SOURCES state_test.cpp
  DEPENDS p2prc_daemon_state)
