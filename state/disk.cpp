#include "state/disk.h"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace p2prc::state {

struct Disk::Pool {
    boost::asio::thread_pool threads{1};
};

Disk::Disk() : pool_(std::make_unique<Pool>()) {}

Disk::~Disk() {
    pool_->threads.join();
}

std::uint64_t Disk::post(std::function<void()> work) {
    boost::asio::post(pool_->threads, std::move(work));
    return ++posted_;
}

boost::asio::any_io_executor Disk::executor() const {
    return pool_->threads.get_executor();
}

} // namespace p2prc::state
