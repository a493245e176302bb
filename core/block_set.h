// An ordered set, and a map by text, that keep their values in blocks.
//
// std::set and std::map take four words and an allocation for each value. A root holds some hundred thousand
// small values in such containers, and those four words and what malloc adds were more than the values.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc {

// Used as std::set is, but a change moves values: iterators, pointers and references are valid until the next
// one only. `Less` compares values, and a value with whatever it is looked up by. Finding is logarithmic, and
// a change moves two blocks at most.
template <class T, class Less>
class BlockSet {
    using Block = std::vector<T>;
    static constexpr std::size_t full = 64; // a few cache lines to search, and to move

  public:
    class Iterator {
      public:
        using iterator_category = std::bidirectional_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = const T*;
        using reference = const T&;

        Iterator() = default;
        reference operator*() const { return (*blocks_)[block_][at_]; }
        pointer operator->() const { return &**this; }
        Iterator& operator++() {
            if (++at_ == (*blocks_)[block_].size()) {
                ++block_;
                at_ = 0;
            }
            return *this;
        }
        Iterator operator++(int) {
            auto before = *this;
            ++*this;
            return before;
        }
        Iterator& operator--() {
            if (at_ == 0) at_ = (*blocks_)[--block_].size();
            --at_;
            return *this;
        }
        Iterator operator--(int) {
            auto before = *this;
            --*this;
            return before;
        }
        friend bool operator==(const Iterator&, const Iterator&) = default;

      private:
        friend BlockSet;
        Iterator(const std::vector<Block>& blocks, std::size_t block, std::size_t at)
            : blocks_(&blocks)
            , block_(block)
            , at_(at) {}
        const std::vector<Block>* blocks_ = nullptr;
        std::size_t block_ = 0;
        std::size_t at_ = 0;
    };
    using value_type = T;
    using iterator = Iterator;
    using const_iterator = Iterator;

    Iterator begin() const { return {blocks_, 0, 0}; }
    Iterator end() const { return {blocks_, blocks_.size(), 0}; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // The first that is not less than `key`.
    template <class Key>
    Iterator lower_bound(const Key& key) const {
        const auto block = std::partition_point(blocks_.begin(), blocks_.end(),
                                                [&](const Block& each) { return Less()(each.back(), key); });
        if (block == blocks_.end()) return end();
        const auto at = std::partition_point(block->begin(), block->end(),
                                             [&](const T& value) { return Less()(value, key); });
        return {blocks_, static_cast<std::size_t>(block - blocks_.begin()),
                static_cast<std::size_t>(at - block->begin())};
    }
    template <class Key>
    Iterator find(const Key& key) const {
        const auto at = lower_bound(key);
        return at == end() || Less()(key, *at) ? end() : at;
    }
    template <class Key>
    bool contains(const Key& key) const {
        return find(key) != end();
    }

    // False, and nothing done, when there is an equal one.
    bool insert(T value) {
        auto place = lower_bound(value);
        if (place != end() && !Less()(value, *place)) return false;
        if (place == end()) {
            // Values that come in order fill one block after the other.
            if (blocks_.empty() || blocks_.back().size() == full) blocks_.emplace_back();
            place = {blocks_, blocks_.size() - 1, blocks_.back().size()};
        } else if (blocks_[place.block_].size() == full) {
            place = split(place);
        }
        auto& block = blocks_[place.block_];
        // By a quarter, not by twice as much: what is not used counts as well.
        if (block.size() == block.capacity())
            block.reserve(std::min(full, block.size() + block.size() / 4 + 2));
        block.insert(block.begin() + offset(place.at_), std::move(value));
        ++size_;
        return true;
    }

    // In the place of an equal one, where there is one.
    void insert_or_assign(T value) {
        const auto place = find(value);
        if (place == end())
            insert(std::move(value));
        else
            at(place) = std::move(value);
    }

    void erase(Iterator place) {
        auto& block = blocks_[place.block_];
        block.erase(block.begin() + offset(place.at_));
        --size_;
        if (block.empty()) blocks_.erase(blocks_.begin() + offset(place.block_));
        if (place.block_ > 0) merge(place.block_ - 1);
        merge(place.block_);
    }
    template <class Key>
    bool erase(const Key& key) {
        const auto place = find(key);
        if (place == end()) return false;
        erase(place);
        return true;
    }

  protected:
    // To change what the order does not depend on.
    T& at(Iterator place) { return blocks_[place.block_][place.at_]; }

  private:
    static constexpr std::ptrdiff_t offset(std::size_t count) { return static_cast<std::ptrdiff_t>(count); }

    // Where `place` is, once its block is two.
    Iterator split(Iterator place) {
        constexpr std::size_t half = full / 2;
        auto& block = blocks_[place.block_];
        const auto middle = block.begin() + offset(half);
        Block upper(std::make_move_iterator(middle), std::make_move_iterator(block.end()));
        Block lower(std::make_move_iterator(block.begin()), std::make_move_iterator(middle));
        block = std::move(lower);
        blocks_.insert(blocks_.begin() + offset(place.block_ + 1), std::move(upper));
        if (place.at_ <= half) return place;
        return {blocks_, place.block_ + 1, place.at_ - half};
    }
    // Puts that block and the next together where both fill no more than half of one, so that what is left of
    // many does not keep the memory of all.
    void merge(std::size_t index) {
        if (index + 1 >= blocks_.size()) return;
        auto& block = blocks_[index];
        auto& next = blocks_[index + 1];
        if (block.size() + next.size() > full / 2) return;
        Block both;
        both.reserve(block.size() + next.size());
        for (auto* from : {&block, &next})
            both.insert(both.end(), std::make_move_iterator(from->begin()),
                        std::make_move_iterator(from->end()));
        block = std::move(both);
        blocks_.erase(blocks_.begin() + offset(index + 1));
    }

    std::vector<Block> blocks_; // none is empty
    std::size_t size_ = 0;
};

// By the first of two.
struct LessByKey {
    template <class Value>
    using Row = std::pair<std::string, Value>;
    template <class Value>
    bool operator()(const Row<Value>& one, const Row<Value>& other) const {
        return one.first < other.first;
    }
    template <class Value>
    bool operator()(const Row<Value>& one, std::string_view key) const {
        return one.first < key;
    }
    template <class Value>
    bool operator()(std::string_view key, const Row<Value>& other) const {
        return key < other.first;
    }
};

// Rows of a key and a value.
template <class Value>
class BlockMap : public BlockSet<std::pair<std::string, Value>, LessByKey> {
  public:
    using typename BlockSet<std::pair<std::string, Value>, LessByKey>::Iterator;

    Value& value_at(Iterator place) { return this->at(place).second; }
};

} // namespace p2prc
