// Does something when a scope is left, by an exception too.
#pragma once

#include <utility>

namespace p2prc {

template <class Function>
class [[nodiscard]] OnExit {
  public:
    explicit OnExit(Function function) : function_(std::move(function)) {}
    ~OnExit() { function_(); }
    OnExit(const OnExit&) = delete;
    OnExit& operator=(const OnExit&) = delete;

  private:
    Function function_; // does not throw
};

} // namespace p2prc
