# Compiler, linker and warning settings shared by every target.

# On in the presets; a distribution's build takes neither by chance.
option(P2PRC_CCACHE "Compile through ccache, where it is installed" OFF)
option(P2PRC_MOLD "Link with mold, where it is installed" OFF)

if(P2PRC_CCACHE)
  find_program(CCACHE ccache)
  if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  endif()
endif()

if(P2PRC_MOLD AND NOT P2PRC_FUZZ)
  find_program(MOLD mold)
  if(MOLD)
    add_link_options(-fuse-ld=mold)
  endif()
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual
  # Designated initialisers name what differs from the default; that is their point.
  -Wno-missing-field-initializers)
# Boost.Asio compiled once, into net/, rather than into every file that includes it.
add_compile_definitions(
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_HAS_CO_AWAIT
  P2PRC_VERSION="${PROJECT_VERSION}")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 warns about its own coroutine frames and about std::expected's storage.
  add_compile_options(-fcoroutines -Wno-maybe-uninitialized -Wno-mismatched-new-delete)
endif()

if(P2PRC_SANITIZE)
  add_compile_options(-fsanitize=${P2PRC_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${P2PRC_SANITIZE})
endif()

# Without it, what has an inode number or a size beyond 32 bits cannot be opened or looked at there.
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  add_compile_definitions(_FILE_OFFSET_BITS=64)
endif()
