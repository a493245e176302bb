// An optional value on the heap.
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace p2prc {

// Used as std::optional is, and copied with its value. While there is none it takes a pointer's room: for
// large values that most of thousands of records do not have.
template <class T>
class Boxed {
  public:
    Boxed() = default;
    Boxed(std::nullopt_t) {}
    Boxed(T value) : value_(std::make_unique<T>(std::move(value))) {}
    Boxed(std::optional<T> value) {
        if (value) value_ = std::make_unique<T>(std::move(*value));
    }
    Boxed(const Boxed& other) : value_(other ? std::make_unique<T>(*other) : nullptr) {}
    Boxed(Boxed&&) noexcept = default;
    Boxed& operator=(Boxed other) noexcept {
        value_ = std::move(other.value_);
        return *this;
    }
    ~Boxed() = default;

    explicit operator bool() const noexcept { return value_ != nullptr; }
    bool has_value() const noexcept { return value_ != nullptr; }
    T& operator*() noexcept { return *value_; }
    const T& operator*() const noexcept { return *value_; }
    T* operator->() noexcept { return value_.get(); }
    const T* operator->() const noexcept { return value_.get(); }
    void reset() noexcept { value_.reset(); }
    friend bool operator==(const Boxed& one, const Boxed& other) {
        return one && other ? *one == *other : bool(one) == bool(other);
    }

  private:
    std::unique_ptr<T> value_;
};

} // namespace p2prc
