// System calls of tests that go on after a stop of the program, by a debugger or a shell.
#pragma once

#include <cerrno>

namespace p2prc::test {

// Makes the call again while it is interrupted: with a limit of time on its socket, recv(2) and send(2) are
// by a SIGCONT, also without a handler (signal(7)).
template <class Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR)
        result = call();
    return result;
}

} // namespace p2prc::test
