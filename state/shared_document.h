// A document of the fleet's state as text, with what it says, held once by all states of this process that
// have the same.
//
// A root holds each document twice: in the registry, on the thread of the disk, and in its replica. Nothing
// of a shared document ever changes, so both threads may read it.
#pragma once

#include "state/entry.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace p2prc::state {

// A document as it is written to disk. Text that is not UTF-8 (a process may log anything) is mended rather
// than refused.
std::string document_text(const nlohmann::json& value);

// `const`, as its pointers are: to make one weak pointer of another with a different type, libstdc++ holds
// the document for a moment, and could be the last to do so.
class SharedDocument : public std::enable_shared_from_this<const SharedDocument> {
  public:
    using Pointer = std::shared_ptr<const SharedDocument>;

    // `text` is that of `value` (document_text), or says the same.
    static Pointer of(std::string_view key, std::string text, const nlohmann::json& value);
    SharedDocument(const SharedDocument&) = delete;
    SharedDocument& operator=(const SharedDocument&) = delete;
    ~SharedDocument();

    const std::string& text() const { return text_; }
    // What it says, where the key is that of a process or a domain; otherwise nullptr. Each keeps the
    // document.
    static std::shared_ptr<const ProcessEntry> process(const Pointer& document);
    static std::shared_ptr<const DomainEntry> domain(const Pointer& document);

  private:
    class Pool;
    SharedDocument(std::string_view key, std::string text, const nlohmann::json& value);
    bool is_of(std::string_view key) const;

    std::string text_;
    std::unique_ptr<const ProcessEntry> process_;
    std::unique_ptr<const DomainEntry> domain_;
};

} // namespace p2prc::state
