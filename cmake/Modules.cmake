# p2prc_library(NAME SOURCES ... DEPENDS ...): the static library p2prc_NAME of directory NAME.
function(p2prc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(p2prc_${name} STATIC ${ARG_SOURCES})
  target_include_directories(p2prc_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_link_libraries(p2prc_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  p2prc_use_precompiled(p2prc_${name} product ${ARG_DEPENDS})
endfunction()

# p2prc_test(NAME SOURCES ... DEPENDS ...): one GoogleTest program, its cases known to ctest.
function(p2prc_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPENDS} p2prc_source_dir GTest::gmock GTest::gtest GTest::gtest_main)
  p2prc_use_precompiled(${name}_test test ${ARG_DEPENDS})
  gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# p2prc_fuzz(NAME SOURCE DEPENDS ...): a libFuzzer target fuzz_NAME with its corpus in tests/fuzz/corpus/NAME.
function(p2prc_fuzz name source)
  add_executable(fuzz_${name} ${source})
  target_link_libraries(fuzz_${name} PRIVATE ${ARGN})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
