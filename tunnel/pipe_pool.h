// Kernel pipes to splice through, lent out while bytes are in flight and taken back empty.
#pragma once

#include "net/fd.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace p2prc::tunnel {

struct Pipe {
    net::UniqueFd read_end;
    net::UniqueFd write_end;
    std::size_t capacity =
        0; // bytes; fewer fit when they came in small packets, for each takes a slot of its own
    bool large = false;
};

// pipe(7): an unprivileged user's pipes may hold fs.pipe-user-pages-soft pages in all (64 MiB); above that a
// pipe cannot grow, and a new one gets a page or two. So the pool lends large pipes first, then pipes of the
// default size, then none: the caller copies.
class PipePool {
  public:
    PipePool(std::size_t large_bytes, std::size_t large_limit, std::size_t small_limit);

    // An empty pipe, or nullptr when the limits are reached.
    std::unique_ptr<Pipe> take();
    // `empty` says that nothing is left inside; else the pipe is closed.
    void give_back(std::unique_ptr<Pipe> pipe, bool empty);

  private:
    std::size_t large_bytes_;
    std::size_t large_limit_;
    std::size_t small_limit_;
    std::size_t large_count_ = 0; // lent and free
    std::size_t small_count_ = 0;
    std::vector<std::unique_ptr<Pipe>> large_free_;
    std::vector<std::unique_ptr<Pipe>> small_free_;
};

} // namespace p2prc::tunnel
