#include "state/shared_document.h"

#include "core/block_set.h"
#include "core/encoding.h"
#include "core/gate.h"
#include "core/json.h"
#include "core/json_members.h"
#include "core/keys.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <mutex>
#include <utility>

namespace p2prc::state {
namespace {

ProcessEntry read_process(std::string_view key, const Json& document) {
    const auto name = key.substr(keys::processes.size());
    auto entry = read_entry(key, document, accept_process, process_from_json);
    if (entry.refused && entry.readable) {
        entry.record.name = name;
        entry.readable = is_listable(key, entry.record);
    }
    if (!entry.readable) {
        entry.record.id = json::member<std::uint32_t>(document, "id");
        entry.record.name = name;
        entry.record.node = json::member<std::string>(document, "node");
        entry.record.change = json::member<std::uint64_t>(document, "change");
        entry.record.port = json::optional_member<std::uint16_t>(document, "port");
    }
    return entry;
}

DomainEntry read_domain(std::string_view key, const Json& document) {
    auto entry = read_entry(key, document, accept_domain, domain_from_json);
    if (entry.refused) entry.record.domain = key.substr(keys::domains.size());
    return entry;
}

} // namespace

std::string document_text(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Those that are alive, by the digest of their text.
class SharedDocument::Pool {
  public:
    // Lives as long as the process: a document may go after all else.
    static Pool& get() {
        static auto* const pool = new Pool;
        return *pool;
    }

    Pointer find(std::string_view key, const Digest& digest) {
        Pointer alive; // goes after the lock, which its end would take as well
        const std::lock_guard lock(mutex_);
        const auto hash = hash_of(digest);
        for (auto at = documents_.lower_bound(Row(hash, nullptr)); at != documents_.end(); ++at) {
            const auto& [other, document] = *at;
            if (other != hash) break;
            if (document->digest_ != digest || !document->is_of(key)) continue;
            alive = document->weak_from_this().lock();
            if (alive) break;
        }
        return alive;
    }
    void add(const SharedDocument& document) {
        const std::lock_guard lock(mutex_);
        documents_.insert(row_of(document));
    }
    void remove(const SharedDocument& document) {
        const std::lock_guard lock(mutex_);
        documents_.erase(row_of(document));
    }

  private:
    using Row = std::pair<std::size_t, const SharedDocument*>; // hash of the digest, document
    static Row row_of(const SharedDocument& document) { return {hash_of(document.digest_), &document}; }

    std::mutex mutex_;
    // Several have the same text where keys differ, or where one is about to go.
    BlockSet<Row, std::less<>> documents_;
};

SharedDocument::Digest SharedDocument::digest_of(std::string_view text) {
    const auto whole = sha256(as_bytes(text));
    Digest digest{};
    std::copy_n(whole.begin(), digest.size(), digest.begin());
    return digest;
}

std::size_t SharedDocument::hash_of(const Digest& digest) noexcept {
    std::size_t hash = 0;
    static_assert(sizeof hash <= sizeof digest);
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
}

SharedDocument::SharedDocument(Private, std::string_view key, std::string text, const Json& value)
    : size_(static_cast<std::uint32_t>(text.size()))
    , digest_(digest_of(text)) {
    if (key.starts_with(keys::processes))
        record_ = std::make_unique<const ProcessEntry>(read_process(key, value));
    else if (key.starts_with(keys::domains))
        record_ = std::make_unique<const DomainEntry>(read_domain(key, value));
    else if (key.starts_with(keys::statuses))
        record_ = std::make_unique<const ProcessStatus>(status_from_json(value));
    // What cannot be read, and what a later version says in another form, is kept as it is.
    if (is_record() && document_text(written_record()) == text) return;
    text_ = std::move(text);
    text_.shrink_to_fit();
}

SharedDocument::~SharedDocument() {
    Pool::get().remove(*this);
}

Json SharedDocument::written_record() const {
    if (const auto* process = std::get_if<std::unique_ptr<const ProcessEntry>>(&record_))
        return to_json((*process)->record);
    if (const auto* domain = std::get_if<std::unique_ptr<const DomainEntry>>(&record_))
        return to_json((*domain)->record);
    return status_to_json(*std::get<std::unique_ptr<const ProcessStatus>>(record_));
}

std::string SharedDocument::text() const {
    return text_.empty() && is_record() ? document_text(written_record()) : text_;
}

Json SharedDocument::read() const {
    return text_.empty() && is_record() ? written_record() : Json::parse(text_, nullptr, false);
}

// Most documents say what their key is, and what one says depends on it only where it does not.
bool SharedDocument::is_of(std::string_view key) const {
    if (const auto* process = std::get_if<std::unique_ptr<const ProcessEntry>>(&record_))
        return key == keys::process((*process)->record.name) && !(*process)->refused;
    if (const auto* domain = std::get_if<std::unique_ptr<const DomainEntry>>(&record_))
        return key == keys::domain((*domain)->record.domain) && !(*domain)->refused;
    return is_record() == key.starts_with(keys::statuses) && !key.starts_with(keys::processes) &&
           !key.starts_with(keys::domains);
}

SharedDocument::Pointer SharedDocument::of(std::string_view key, std::string text, const Json& value) {
    auto& pool = Pool::get();
    if (auto same = pool.find(key, digest_of(text))) return same;
    auto made = std::make_shared<const SharedDocument>(Private(), key, std::move(text), value);
    if (made->is_of(key)) pool.add(*made);
    return made;
}

std::shared_ptr<const ProcessEntry> SharedDocument::process(const Pointer& document) {
    const auto* process = std::get_if<std::unique_ptr<const ProcessEntry>>(&document->record_);
    return {document, process ? process->get() : nullptr};
}

std::shared_ptr<const DomainEntry> SharedDocument::domain(const Pointer& document) {
    const auto* domain = std::get_if<std::unique_ptr<const DomainEntry>>(&document->record_);
    return {document, domain ? domain->get() : nullptr};
}

std::shared_ptr<const ProcessStatus> SharedDocument::status(const Pointer& document) {
    const auto* status = std::get_if<std::unique_ptr<const ProcessStatus>>(&document->record_);
    return {document, status ? status->get() : nullptr};
}

} // namespace p2prc::state
