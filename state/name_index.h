// Names by what they belong to: the processes of a node, the domains of a process.
//
// One ordered set of pairs: a set for each owner would take several times the memory where most own one name.
#pragma once

#include "core/block_set.h"

#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

namespace p2prc::state {

// What it is given must outlive its place in the index.
class NameIndex {
    using Pair = std::pair<std::string_view, std::string_view>; // owner, name
    // Comes after all pairs of the owner.
    struct AllOf {
        std::string_view owner;
    };
    struct Less {
        bool operator()(const Pair& one, const Pair& other) const noexcept { return one < other; }
        bool operator()(const Pair& one, const AllOf& other) const noexcept {
            return one.first <= other.owner;
        }
    };
    using Pairs = BlockSet<Pair, Less>;

  public:
    // In the order of their bytes; valid until the index changes.
    class Names {
      public:
        class Iterator {
          public:
            using iterator_category = std::forward_iterator_tag;
            using value_type = std::string_view;
            using difference_type = std::ptrdiff_t;
            using pointer = const std::string_view*;
            using reference = const std::string_view&;

            Iterator() = default;
            explicit Iterator(Pairs::const_iterator at) : at_(at) {}
            reference operator*() const { return at_->second; }
            Iterator& operator++() {
                ++at_;
                return *this;
            }
            Iterator operator++(int) {
                auto before = *this;
                ++at_;
                return before;
            }
            friend bool operator==(const Iterator&, const Iterator&) = default;

          private:
            Pairs::const_iterator at_;
        };
        using value_type = std::string_view;
        using iterator = Iterator;
        using const_iterator = Iterator;

        Names(Pairs::const_iterator begin, Pairs::const_iterator end) : begin_(begin), end_(end) {}
        Iterator begin() const { return begin_; }
        Iterator end() const { return end_; }
        bool empty() const { return begin_ == end_; }

      private:
        Iterator begin_, end_;
    };

    void add(std::string_view owner, std::string_view name) { pairs_.insert({owner, name}); }
    void remove(std::string_view owner, std::string_view name) { pairs_.erase(Pair(owner, name)); }
    Names of(std::string_view owner) const {
        return {pairs_.lower_bound(Pair(owner, "")), pairs_.lower_bound(AllOf{owner})};
    }

  private:
    Pairs pairs_;
};

} // namespace p2prc::state
