p2prc_test(fleet
  SOURCES fleet/feed_sender_test.cpp fleet/feed_test.cpp fleet/fleet_test.cpp fleet/frame_test.cpp fleet/half_open_test.cpp fleet/kills_test.cpp fleet/log_shares_test.cpp fleet/offers_test.cpp fleet/ports_test.cpp fleet/roles_test.cpp fleet/root_addresses_test.cpp fleet/server_test.cpp fleet/session_test.cpp fleet/token_test.cpp fleet/web_ca_test.cpp ../support/power_cut.cpp fleet/node_checks_test.cpp
  DEPENDS p2prc_daemon_fleet)
