// Processes, nodes and domains as objects on the bus, announced as they come, change and go.
#pragma once

#include "core/fields.h"
#include "core/keys.h"
#include "daemon/api/view.h"
#include "dbus/bus.h"

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace p2prc::daemon {

// One kind of object below one prefix. Properties are the fields of its table, in CamelCase.
struct ObjectKind {
    const char* prefix;
    const char* interface;
    std::span<const Field> fields;
    std::string_view id; // key of the field that never changes and is the path's last element
    std::vector<std::string_view> polled; // keys that change all the time and are not announced
    std::function<Json()> documents;      // all of them now
    unsigned announced_as = 0;            // of keys::Family::announces
    std::function<Json(const std::string& id)> document = {}; // that one now; null: there is none
    std::function<void(Json&)> measure = {};                  // fills in the polled ones for a reader
    std::vector<dbus::Method> methods = {};
};

// "MemoryBytes" of "memory_bytes".
std::string property_name(std::string_view key);

class Objects {
  public:
    // `bus` and the states of `view` must outlive it. Nothing is on the bus before publish().
    Objects(dbus::Bus& bus, const View& view, std::vector<ObjectKind> kinds);
    ~Objects();

    // Registers all objects and follows the states from then on. Signals are sent once a turn of the loop.
    Result<void> publish();
    // Takes what has changed over at once, so that a path that is about to be answered can be found.
    void refresh();
    // Has one object, of those that are `announced_as` that, looked at: it depends on more than the states.
    void look_at(unsigned announced_as, const std::string& id);

  private:
    class Tree;
    void changed(std::span<const state::Change> changes);
    void refresh_soon();

    dbus::Bus* bus_;
    const View* view_;
    std::vector<std::unique_ptr<Tree>> trees_;
    std::vector<state::Subscription> subscriptions_;
    std::string node_;               // whose facts come from the own state, as of the last refresh
    std::shared_ptr<Objects*> self_; // empties when this goes: a posted refresh may come later
    bool posted_ = false;
};

} // namespace p2prc::daemon
