#include "daemon/api/objects.h"

#include "core/block_set.h"
#include "core/memory.h"
#include "daemon/api/concerned.h"
#include "dbus/codec.h"
#include "dbus/names.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <utility>

namespace p2prc::daemon {

namespace {

// What was not measured is no amount: 0 is one.
Result<void> write_unknown(const dbus::Message& reply, const Field& field) {
    if (field.type == FieldType::Number) return dbus::write_value(reply, "d", -1.0);
    if (field.type == FieldType::Integer && field.signature == "t")
        return dbus::write_value(reply, "t", std::numeric_limits<std::uint64_t>::max());
    return dbus::write_nothing(reply, field.signature);
}

Result<void> write_property(const dbus::Message& reply, const Field& field, const Json& document) {
    const auto found = document.find(field.key);
    if (found == document.end() || found->is_null()) return write_unknown(reply, field);
    if (field.signature == "a{sv}")
        return dbus::write_fields(reply, field.members ? field.members() : std::span<const Field>(), *found);
    if (field.signature == "aa{sv}" && field.members && found->is_array())
        return dbus::write_field_list(reply, field.members(), *found);
    if (dbus::fits(field.signature, *found)) return dbus::write_value(reply, field.signature, *found);
    return write_unknown(reply, field);
}

// Half of a hash, from all of it: that of a number is the number.
std::uint32_t digest_of(const Json& value) {
    constexpr std::uint64_t odd = 0x9e3779b97f4a7c15; // Fibonacci hashing: the upper bits depend on all
    return static_cast<std::uint32_t>((std::hash<Json>()(value) * odd) >> 32U);
}

} // namespace

std::string property_name(std::string_view key) {
    std::string name;
    bool upper = true;
    for (const char c : key) {
        if (c == '_') {
            upper = true;
            continue;
        }
        name += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        upper = false;
    }
    return name;
}

class Objects::Tree {
  public:
    Tree(dbus::Bus& bus, ObjectKind kind) : bus_(&bus), kind_(std::move(kind)) {}

    Result<void> publish() {
        objects_ = snapshot();
        auto object = bus_->add_objects(kind_.prefix, interface(), [this](const std::string& path) {
            return objects_.contains(id_of(path));
        });
        if (!object) return std::unexpected(object.error());
        auto enumerator = bus_->add_enumerator(kind_.prefix, [this] {
            std::vector<std::string> paths;
            for (const auto& [id, known] : objects_)
                paths.push_back(path_of(id));
            return paths;
        });
        if (!enumerator) return std::unexpected(enumerator.error());
        registrations_ = {*object, *enumerator};
        return {};
    }

    void note(const View& view, const state::Change& change) {
        read_path_.clear();
        if (all_) return;
        auto ids = concerned(view, kind_.announced_as, change);
        if (ids)
            touched_.merge(*ids);
        else
            all_ = true;
    }
    void note(unsigned announced_as, const std::string& id) {
        if (announced_as == kind_.announced_as) touched_.insert(id);
    }
    void note_all() { all_ = true; }

    // Only what was touched is looked at: a document of each object of thousands takes seconds.
    void refresh() {
        read_path_.clear();
        const auto touched = std::exchange(touched_, {});
        if (std::exchange(all_, false)) return refresh_all();
        AnnouncedById now;
        std::vector<std::string> gone;
        for (const std::string& id : touched) {
            const Json document = kind_.document(id);
            if (document.is_object())
                now.insert({id, announced(document)});
            else if (objects_.erase(id))
                gone.push_back(id);
        }
        tell(gone, now);
    }

  private:
    // What the bus was told last, enough to see what differs: digests of the properties whose changes are
    // told, in their order. Documents of thousands of objects would take more memory than all else.
    using Announced = std::vector<std::uint32_t>;
    using AnnouncedById = BlockMap<Announced>;

    // A signal that cannot be sent means that the connection is gone, which ends the daemon.
    void announce(const std::string& path, const std::vector<std::string>& names) {
        if (!names.empty()) (void)bus_->emit_properties_changed(path, kind_.interface, names);
    }

    void refresh_all() {
        const auto now = snapshot();
        std::vector<std::string> gone;
        for (const auto& [id, object] : objects_)
            if (!now.contains(id)) gone.push_back(id);
        for (const std::string& id : gone)
            objects_.erase(id);
        tell(gone, now);
    }

    // What went is not in objects_ any more, and `now` is to be there.
    void tell(const std::vector<std::string>& gone, const AnnouncedById& now) {
        for (const std::string& id : gone)
            (void)bus_->emit_object_removed(path_of(id), {kind_.interface});
        for (const auto& [id, object] : now) {
            const auto old = objects_.find(id);
            if (old == objects_.end()) {
                objects_.insert({id, object});
                (void)bus_->emit_object_added(path_of(id));
                continue;
            }
            const auto names = differences(old->second, object);
            objects_.value_at(old) = object;
            announce(path_of(id), names);
        }
    }

    // A number is its own path element; sd_bus_path_encode would escape its first digit.
    bool has_numbers() const { return find_field(kind_.fields, kind_.id)->type == FieldType::Integer; }
    std::string path_of(const std::string& id) const {
        return has_numbers() ? std::string(kind_.prefix) + "/" + id : dbus::path_encode(kind_.prefix, id);
    }
    std::string id_of(const std::string& path) const {
        if (!has_numbers()) {
            // An element can be escaped in several ways, of which one is the object's.
            auto id = dbus::path_decode(kind_.prefix, path);
            return path_of(id) == path ? id : "";
        }
        const std::string prefix = std::string(kind_.prefix) + "/";
        return path.starts_with(prefix) ? path.substr(prefix.size()) : "";
    }

    AnnouncedById snapshot() const {
        AnnouncedById result;
        for (const Json& document : kind_.documents()) {
            const Json& member = document.at(std::string(kind_.id));
            result.insert(
                {member.is_string() ? member.get<std::string>() : member.dump(), announced(document)});
        }
        return result;
    }

    bool polled(std::string_view key) const { return std::ranges::count(kind_.polled, key) > 0; }

    bool told(const Field& field) const {
        return field.is_property() && field.key != kind_.id && !polled(field.key);
    }

    Announced announced(const Json& document) const {
        Announced digests;
        for (const Field& field : kind_.fields)
            if (told(field)) digests.push_back(digest_of(document.value(field.key, Json())));
        digests.shrink_to_fit();
        return digests;
    }

    std::vector<std::string> differences(const Announced& before, const Announced& now) const {
        std::vector<std::string> names;
        std::size_t at = 0;
        for (const Field& field : kind_.fields) {
            if (!told(field)) continue;
            if (before[at] != now[at]) names.push_back(property_name(field.key));
            ++at;
        }
        return names;
    }

    dbus::Interface interface() {
        dbus::Interface result{kind_.interface};
        result.methods = kind_.methods;
        for (const Field& field : kind_.fields) {
            if (!field.is_property()) continue;
            const bool constant = field.key == kind_.id || (kind_.id == "id" && field.key == "name");
            const auto emits = constant            ? dbus::Emits::Constant
                               : polled(field.key) ? dbus::Emits::Nothing
                                                   : dbus::Emits::Change;
            result.properties.push_back({property_name(field.key), std::string(field.signature), emits,
                                         [this, &field](const std::string& path, const dbus::Message& reply) {
                                             return read(path, field, reply);
                                         }});
        }
        return result;
    }

    // A reader asks for one property after the other: the document is made for the first.
    Result<void> read(const std::string& path, const Field& field, const dbus::Message& reply) {
        if (path != read_path_) {
            const auto id = id_of(path);
            Json document = objects_.contains(id) ? kind_.document(id) : Json();
            if (!document.is_object()) return fail(ErrorCode::NotFound, "there is no object " + path);
            read_ = std::move(document);
            read_path_ = path;
        }
        if (!polled(field.key) || !kind_.measure) return write_property(reply, field, read_);
        Json measured = read_;
        kind_.measure(measured);
        return write_property(reply, field, measured);
    }

    dbus::Bus* bus_;
    ObjectKind kind_;
    AnnouncedById objects_;
    std::string read_path_; // whose document is read_; empty once something may have changed
    Json read_;
    std::set<std::string> touched_; // ids; what they were before is in objects_
    bool all_ = false;
    std::vector<dbus::Registration> registrations_;
};

Objects::Objects(dbus::Bus& bus, const View& view, std::vector<ObjectKind> kinds)
    : bus_(&bus)
    , view_(&view)
    , self_(std::make_shared<Objects*>(this)) {
    for (ObjectKind& kind : kinds)
        trees_.push_back(std::make_unique<Tree>(bus, std::move(kind)));
}

Objects::~Objects() {
    *self_ = nullptr;
}

Result<void> Objects::publish() {
    for (const auto& tree : trees_)
        if (auto done = tree->publish(); !done) return done;
    release_freed_memory(); // of the documents of all objects
    node_ = view_->node();
    const state::ChangeCallback on_change = [this](std::span<const state::Change> changes) {
        changed(changes);
    };
    subscriptions_.push_back(view_->replica().subscribe("/", on_change));
    subscriptions_.push_back(view_->own().subscribe("/", on_change));
    return {};
}

void Objects::refresh() {
    const bool renamed = std::exchange(node_, view_->node()) != node_;
    for (const auto& tree : trees_) {
        if (renamed) tree->note_all();
        tree->refresh();
    }
}

void Objects::changed(std::span<const state::Change> changes) {
    for (const auto& tree : trees_)
        for (const state::Change& change : changes)
            tree->note(*view_, change);
    refresh_soon();
}

void Objects::look_at(unsigned announced_as, const std::string& id) {
    for (const auto& tree : trees_)
        tree->note(announced_as, id);
    refresh_soon();
}

void Objects::refresh_soon() {
    if (std::exchange(posted_, true)) return;
    boost::asio::post(bus_->executor(), [self = self_] {
        if (!*self) return;
        (*self)->posted_ = false;
        (*self)->refresh();
    });
}

} // namespace p2prc::daemon
