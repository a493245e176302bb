#include "net/memory.h"

#include "core/memory.h"

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <memory>

namespace p2prc::net {
namespace {

// The heap is the whole process's, and so is its turn; it ends also where its timer is dropped with a loop.
class Turn {
  public:
    static bool take() { return !taken.exchange(true); }
    Turn() = default;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { taken = false; }

  private:
    static inline std::atomic<bool> taken = false;
};

} // namespace

void release_memory_soon(boost::asio::any_io_executor executor) {
    if (!Turn::take()) return;
    auto turn = std::make_shared<Turn>();
    auto timer = std::make_shared<boost::asio::steady_timer>(std::move(executor), std::chrono::seconds(1));
    timer->async_wait([turn, timer](const boost::system::error_code& error) {
        if (!error) release_freed_memory();
    });
}

} // namespace p2prc::net
