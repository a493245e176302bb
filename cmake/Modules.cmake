# With it, what a header's templates and inline functions cost is paid once for several files. For builds in which nobody
# compiles one file by itself: a change in one compiles its neighbours again.
set(P2PRC_UNITY 0 CACHE STRING "Compile this many files of a library together; 0: each alone")

# p2prc_together(TARGET SEPARATE...): what P2PRC_UNITY says. SEPARATE are files with names that another one has, too.
function(p2prc_together target)
  if(P2PRC_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${P2PRC_UNITY})
    set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    # g++ takes a source that is included for a header, in which a coroutine's frame with a type of an unnamed
    # namespace would be wrong. Where sources are compiled alone the warning is on.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# p2prc_library(NAME SOURCES ... DEPENDS ... SEPARATE ...): the static library p2prc_NAME of directory NAME.
function(p2prc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS;SEPARATE" ${ARGN})
  add_library(p2prc_${name} STATIC ${ARG_SOURCES})
  target_include_directories(p2prc_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_link_libraries(p2prc_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  p2prc_together(p2prc_${name} ${ARG_SEPARATE})
  p2prc_use_precompiled(p2prc_${name} product ${ARG_DEPENDS})
endfunction()

# p2prc_test(NAME SOURCES ... DEPENDS ... SEPARATE ...): one GoogleTest program, its cases known to ctest.
function(p2prc_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;SEPARATE" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPENDS} p2prc_source_dir GTest::gmock GTest::gtest GTest::gtest_main)
  p2prc_together(${name}_test ${ARG_SEPARATE})
  p2prc_use_precompiled(${name}_test test ${ARG_DEPENDS})
  gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# p2prc_fuzz(NAME SOURCE DEPENDS ...): a libFuzzer target fuzz_NAME with its corpus in tests/fuzz/corpus/NAME.
function(p2prc_fuzz name source)
  add_executable(fuzz_${name} ${source})
  target_link_libraries(fuzz_${name} PRIVATE ${ARGN})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
