# Headers of other projects, parsed once for the product and once for the tests. Reading them is half of what a
# file costs. No header of ours is in here: a change of one would rebuild everything.

# On in the presets that only tests run. What is shipped is built without, so a missing include is found there.
option(P2PRC_PCH "Precompile the headers of other projects" OFF)

# p2prc_precompile(TARGET HEADERS ... DEPENDS ...): the headers and the libraries that define macros for them.
# g++ writes other bytes each time, and ccache looks at them: checkouts share objects because they share this one.
function(p2prc_precompile name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPENDS" ${ARGN})
  file(CONFIGURE OUTPUT ${name}.cpp CONTENT "")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

# p2prc_use_precompiled(TARGET KIND DEPENDS...): KIND is product or test. Asio's headers have objects that its
# library must initialise; they are for what links it.
function(p2prc_use_precompiled target kind)
  set(asio FALSE)
  foreach(dependency ${ARGN})
    if(TARGET ${dependency})
      get_target_property(links ${dependency} P2PRC_ASIO)
      if(links)
        set(asio TRUE)
      endif()
    endif()
  endforeach()
  if(target STREQUAL p2prc_net OR target STREQUAL p2prc_dbus)
    set(asio TRUE)
  endif()
  set_target_properties(${target} PROPERTIES P2PRC_ASIO ${asio})
  if(P2PRC_PCH)
    if(asio)
      target_precompile_headers(${target} REUSE_FROM p2prc_${kind}_asio_headers)
    else()
      target_precompile_headers(${target} REUSE_FROM p2prc_${kind}_headers)
    endif()
    # Without this, headers that do not fit the target's options are parsed again without a word.
    target_compile_options(${target} PRIVATE -Werror=invalid-pch)
  endif()
endfunction()

if(P2PRC_PCH)
  set(headers
    <algorithm> <array> <charconv> <chrono> <cstdint> <deque> <expected> <filesystem> <fstream> <functional> <list> <map> <memory>
    <optional> <set> <span> <sstream> <string> <string_view> <unordered_map> <utility> <vector> <fmt/format.h> <nlohmann/json.hpp>)
  set(asio
    <boost/asio/any_io_executor.hpp> <boost/asio/as_tuple.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp>
    <boost/asio/io_context.hpp> <boost/asio/posix/stream_descriptor.hpp> <boost/asio/post.hpp> <boost/asio/redirect_error.hpp>
    <boost/asio/steady_timer.hpp> <boost/asio/this_coro.hpp> <boost/asio/use_awaitable.hpp>)
  set(gtest <future> <thread> <gmock/gmock.h> <gtest/gtest.h>)
  set(libraries Boost::headers fmt::fmt nlohmann_json::nlohmann_json)
  p2prc_precompile(p2prc_product_headers HEADERS ${headers} DEPENDS ${libraries})
  p2prc_precompile(p2prc_product_asio_headers HEADERS ${headers} ${asio} DEPENDS ${libraries})
  if(P2PRC_TESTS)
    p2prc_precompile(p2prc_test_headers HEADERS ${headers} ${gtest} DEPENDS ${libraries} GTest::gmock GTest::gtest)
    p2prc_precompile(p2prc_test_asio_headers HEADERS ${headers} ${asio} ${gtest} DEPENDS ${libraries} GTest::gmock GTest::gtest)
  endif()
endif()
