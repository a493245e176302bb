#include "tunnel/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace p2prc::tunnel {
namespace {

// A pipe of fewer bytes than this moves less at a time than a plain copy does.
constexpr int worthwhile_bytes = 32 * 1024;

std::unique_ptr<Pipe> open_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
    auto pipe = std::make_unique<Pipe>();
    pipe->read_end.reset(ends[0]);
    pipe->write_end.reset(ends[1]);
    return pipe;
}

} // namespace

PipePool::PipePool(std::size_t large_bytes, std::size_t large_limit, std::size_t small_limit)
    : large_bytes_(large_bytes)
    , large_limit_(large_limit)
    , small_limit_(small_limit) {}

std::unique_ptr<Pipe> PipePool::take() {
    for (auto* free : {&large_free_, &small_free_}) {
        if (free == &small_free_ && large_count_ < large_limit_) {
            auto pipe = open_pipe();
            if (!pipe) return nullptr;
            const int capacity = fcntl(pipe->write_end.get(), F_SETPIPE_SZ, static_cast<int>(large_bytes_));
            if (capacity > 0) {
                pipe->capacity = static_cast<std::size_t>(capacity);
                pipe->large = true;
                ++large_count_;
                return pipe;
            }
            // This user's limit is reached, by us or by other programs: use only the pipes that are open.
            large_limit_ = large_count_;
        }
        if (!free->empty()) {
            auto pipe = std::move(free->back());
            free->pop_back();
            return pipe;
        }
    }
    if (small_count_ >= small_limit_) return nullptr;
    auto pipe = open_pipe();
    if (!pipe) return nullptr;
    const int capacity = fcntl(pipe->write_end.get(), F_GETPIPE_SZ);
    if (capacity < worthwhile_bytes) return nullptr;
    pipe->capacity = static_cast<std::size_t>(capacity);
    ++small_count_;
    return pipe;
}

void PipePool::give_back(std::unique_ptr<Pipe> pipe, bool empty) {
    if (!empty) {
        --(pipe->large ? large_count_ : small_count_);
        return;
    }
    (pipe->large ? large_free_ : small_free_).push_back(std::move(pipe));
}

} // namespace p2prc::tunnel
