#include "state/shared_document.h"

#include "core/gate.h"
#include "core/json.h"
#include "core/json_members.h"
#include "core/keys.h"

#include <functional>
#include <mutex>
#include <unordered_set>
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

} // namespace

std::string document_text(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Those that are alive, by their text.
class SharedDocument::Pool {
  public:
    // Lives as long as the process: a document may go after all else.
    static Pool& get() {
        static auto* const pool = new Pool;
        return *pool;
    }

    Pointer find(std::string_view key, std::string_view text) {
        Pointer alive; // goes after the lock, which its end would take as well
        const std::lock_guard lock(mutex_);
        const auto found = documents_.find(text);
        if (found == documents_.end()) return nullptr;
        alive = (*found)->weak_from_this().lock();
        return alive && alive->is_of(key) ? alive : nullptr;
    }
    void add(const SharedDocument& document) {
        const std::lock_guard lock(mutex_);
        // One that is about to go makes room; another that says the same of another key stays.
        const auto found = documents_.find(std::string_view(document.text_));
        if (found != documents_.end() && (*found)->weak_from_this().expired()) documents_.erase(found);
        documents_.insert(&document);
    }
    void remove(const SharedDocument& document) {
        const std::lock_guard lock(mutex_);
        const auto found = documents_.find(std::string_view(document.text_));
        if (found != documents_.end() && *found == &document) documents_.erase(found);
    }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
        std::size_t operator()(const SharedDocument* document) const {
            return (*this)(std::string_view(document->text_));
        }
    };
    struct Same {
        using is_transparent = void;
        bool operator()(const SharedDocument* one, const SharedDocument* other) const {
            return one->text_ == other->text_;
        }
        bool operator()(std::string_view text, const SharedDocument* document) const {
            return text == document->text_;
        }
        bool operator()(const SharedDocument* document, std::string_view text) const {
            return text == document->text_;
        }
    };

    std::mutex mutex_;
    std::unordered_set<const SharedDocument*, Hash, Same> documents_;
};

SharedDocument::SharedDocument(std::string_view key, std::string text, const Json& value)
    : text_(std::move(text)) {
    text_.shrink_to_fit();
    if (key.starts_with(keys::processes))
        process_ = std::make_unique<const ProcessEntry>(read_process(key, value));
    else if (key.starts_with(keys::domains))
        domain_ =
            std::make_unique<const DomainEntry>(read_entry(key, value, accept_domain, domain_from_json));
}

SharedDocument::~SharedDocument() {
    Pool::get().remove(*this);
}

// Most documents say what their key is, and what one says depends on it only where it does not.
bool SharedDocument::is_of(std::string_view key) const {
    if (process_) return key == keys::process(process_->record.name) && !process_->refused;
    if (domain_) return key == keys::domain(domain_->record.domain) && !domain_->refused;
    return !key.starts_with(keys::processes) && !key.starts_with(keys::domains);
}

SharedDocument::Pointer SharedDocument::of(std::string_view key, std::string text, const Json& value) {
    auto& pool = Pool::get();
    if (auto same = pool.find(key, text)) return same;
    const Pointer made(new SharedDocument(key, std::move(text), value));
    if (made->is_of(key)) pool.add(*made);
    return made;
}

std::shared_ptr<const ProcessEntry> SharedDocument::process(const Pointer& document) {
    return {document, document->process_.get()};
}

std::shared_ptr<const DomainEntry> SharedDocument::domain(const Pointer& document) {
    return {document, document->domain_.get()};
}

} // namespace p2prc::state
