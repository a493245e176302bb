// A document of the fleet's state as text, with what it says, held once by all states of this process that
// have the same.
//
// A root holds each document twice: in the registry, on the thread of the disk, and in its replica. Nothing
// of a shared document ever changes, so both threads may read it. Of what it says and its text one is enough:
// the text of a record is written anew when somebody asks for it.
#pragma once

#include "core/process_status.h"
#include "state/entry.h"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace p2prc::state {

// A document as it is written to disk. Text that is not UTF-8 (a process may log anything) is mended rather
// than refused.
std::string document_text(const nlohmann::json& value);

// `const`, as its pointers are: to make one weak pointer of another with a different type, libstdc++ holds
// the document for a moment, and could be the last to do so.
class SharedDocument : public std::enable_shared_from_this<const SharedDocument> {
    struct Private {
        explicit Private() = default;
    };

  public:
    using Pointer = std::shared_ptr<const SharedDocument>;

    // `text` is that of `value` (document_text), or says the same.
    static Pointer of(std::string_view key, std::string text, const nlohmann::json& value);
    SharedDocument(Private, std::string_view key, std::string text, const nlohmann::json& value);
    SharedDocument(const SharedDocument&) = delete;
    SharedDocument& operator=(const SharedDocument&) = delete;
    ~SharedDocument();

    std::string text() const;                  // as it was given
    std::size_t size() const { return size_; } // of the text
    // Whether the text of `other` is the same.
    bool says_the_same(const SharedDocument& other) const noexcept {
        return size_ == other.size_ && digest_ == other.digest_;
    }
    nlohmann::json read() const;
    // Whether the key is that of a process, a domain or a report of a process.
    bool is_record() const { return !std::holds_alternative<std::monostate>(record_); }
    // What it says, where the key is of that family; otherwise nullptr. Each keeps the document.
    static std::shared_ptr<const ProcessEntry> process(const Pointer& document);
    static std::shared_ptr<const DomainEntry> domain(const Pointer& document);
    static std::shared_ptr<const ProcessStatus> status(const Pointer& document);

  private:
    class Pool;
    // Of a text: the first half of its SHA-256.
    using Digest = std::array<std::uint8_t, 16>;
    static Digest digest_of(std::string_view text);
    static std::size_t hash_of(const Digest& digest) noexcept;
    bool is_of(std::string_view key) const;
    nlohmann::json written_record() const;

    std::string text_; // empty: that of the record
    std::uint32_t size_ = 0;
    Digest digest_;
    std::variant<std::monostate, std::unique_ptr<const ProcessEntry>, std::unique_ptr<const DomainEntry>,
                 std::unique_ptr<const ProcessStatus>>
        record_;
};

} // namespace p2prc::state
