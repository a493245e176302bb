// What becomes of a coroutine that a test starts and does not wait for.
#pragma once

#include <exception>

namespace p2prc::test {

// Its completion handler, whatever it returns: an exception in it comes out of the loop's run().
struct Rethrow {
    template <class... Results>
    void operator()(const std::exception_ptr& failure, const Results&...) const {
        if (failure) std::rethrow_exception(failure);
    }
};
inline constexpr Rethrow rethrow{};

} // namespace p2prc::test
