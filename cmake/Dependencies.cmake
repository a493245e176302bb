# Every library the product links, all from the distribution's packages.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
# Boost's own package description, which it has had since 1.70; CMake's FindBoost is on its way out (CMP0167).
find_package(Boost 1.81 REQUIRED CONFIG)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(tomlplusplus 3.3 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd>=252)
pkg_check_modules(LDNS REQUIRED IMPORTED_TARGET ldns>=1.8)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares>=1.18)
# What 1.28 offers instead is not in Debian 12's.
set_property(TARGET PkgConfig::CARES APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS CARES_NO_DEPRECATED)
if(P2PRC_TESTS)
  find_package(GTest 1.12 REQUIRED)
  include(GoogleTest)
endif()
