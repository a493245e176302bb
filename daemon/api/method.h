// A method of an object on the bus: a row of its family's table, with arguments and answer as JSON.
#pragma once

#include "core/fields.h"
#include "daemon/api/authorisation.h"
#include "daemon/api/view.h"
#include "dbus/codec.h"
#include "dbus/object.h"
#include "net/fd.h"
#include "registry/gateway.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon {

// What a table says of a method, whoever handles it. Arguments and options are written "s process, u port".
struct MethodInfo {
    std::string_view interface; // after "org.p2prc1."
    std::string_view member;
    std::string_view in;
    std::string_view out;
    Permission permission;
    std::string_view verb = {};    // that polkit is told
    std::string_view options = {}; // which an argument `a{sv} options` may have; any other is refused
};

struct Request {
    Caller caller;
    dbus::Message message;
    // By their names. Of an object's own method also `process`, `node` or `domain`, from its path.
    Json arguments = Json::object();
    Json options = Json::object();

    // What older methods have as an argument and newer ones as an option; null: it was not given.
    const Json& value(std::string_view name) const;
    // The same as text, empty where it is none.
    std::string text(std::string_view name) const;
};

struct Answer {
    Json values = Json::array(); // list, one for each result; none for an `h`
    // For results a{sv} and aa{sv}: the table that gives their types; empty: by nature.
    std::span<const Field> fields = {};
    std::shared_ptr<net::UniqueFd> descriptor = {};
    dbus::Rows rows = {};          // of the only result, an aa{sv}, in place of `values`
    dbus::CodecLimits limits = {}; // where there is no table of fields
};

// Answer with one value.
Answer answer(Json value, std::span<const Field> fields = {});

using Reply = boost::asio::awaitable<Result<Answer>>;
using RequestHandler = std::function<Reply(Request)>;

// Each family of methods is a class with a table of these, rows().
template <class Family>
struct MethodRow {
    MethodInfo info;
    Reply (Family::*handler)(Request);
};

// What every method needs before its handler has it. Both must outlive the methods.
struct MethodContext {
    Authorisation& rights;
    const View& view;
};

// "s process, u port" as arguments.
std::vector<dbus::Argument> read_arguments(std::string_view text);

// `info` must outlive the method, as the rows of tables do.
dbus::Method method(const MethodContext& context, const MethodInfo& info, RequestHandler handler);

// Adds those methods of `family` that are of `interface`.
template <class Family>
void add_methods(std::vector<dbus::Method>& methods, const MethodContext& context, std::string_view interface,
                 Family& family) {
    for (const MethodRow<Family>& row : Family::rows()) {
        if (row.info.interface != interface) continue;
        methods.push_back(method(context, row.info, [&family, handler = row.handler](Request request) {
            return (family.*handler)(std::move(request));
        }));
    }
}

} // namespace p2prc::daemon
