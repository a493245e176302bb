// A method of an object on the bus with JSON arguments and answer, behind the table of rights.
#pragma once

#include "core/fields.h"
#include "daemon/api/authorisation.h"
#include "daemon/gateway.h"
#include "dbus/codec.h"
#include "dbus/object.h"
#include "net/fd.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace p2prc::daemon {

struct Request {
    Caller caller;
    dbus::Message message;
    Json arguments; // list, one for each

    std::string text(std::size_t index) const { return arguments.at(index).get<std::string>(); }
};

struct Answer {
    Json values = Json::array(); // list, one for each result; none for an `h`
    // For results a{sv} and aa{sv}: the table that gives their types; empty: by nature.
    std::span<const Field> fields = {};
    std::shared_ptr<net::UniqueFd> descriptor = {};
    dbus::CodecLimits limits = {}; // where there is no table of fields
};

// Answer with one value.
Answer answer(Json value, std::span<const Field> fields = {});

using RequestHandler = std::function<boost::asio::awaitable<Result<Answer>>(Request)>;

// `rights` must outlive the object.
dbus::Method method(Authorisation& rights, std::string name, std::vector<dbus::Argument> in,
                    std::vector<dbus::Argument> out, RequestHandler handler);

} // namespace p2prc::daemon
