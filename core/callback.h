// Functions that are called back, with their exceptions kept from the caller: a C library, or a loop over
// several.
#pragma once

#include <cstdio>
#include <exception>

namespace p2prc {

// Runs the body of a callback. An exception must not pass through C's frames, and at a noexcept function it
// ends the program: it is reported on standard error, and the caller gets `failure`.
template <class T, class Body>
T guard_callback(const char* what, T failure, Body&& body) noexcept {
    try {
        return body();
    } catch (const std::exception& thrown) {
        // "<3>" is the priority err of sd-daemon(3). Without allocating: memory may be what is missing.
        std::fprintf(stderr, "<3>%s failed inside: %s\n", what, thrown.what());
    } catch (...) {
        std::fprintf(stderr, "<3>%s failed inside\n", what);
    }
    return failure;
}

} // namespace p2prc
