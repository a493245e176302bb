// An interface of a D-Bus object as a value; its methods are coroutines.
#pragma once

#include "core/error.h"
#include "dbus/message.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::dbus {

struct Argument {
    std::string type; // one complete D-Bus type
    std::string name;
};

// Gets the call and returns the reply made from it (Message::new_reply). An Error becomes an error reply; an
// exception is answered as Failed, and so is a reply that cannot be sent. Authorisation is the handler's:
// sd-bus lets every caller in.
using MethodHandler = std::function<boost::asio::awaitable<Result<Message>>(Message call)>;
// Appends the property's value, without its variant, to `reply`: all of it or nothing. A value that cannot be
// told is shown as write_nothing has it; with NotFound the object is taken for gone.
using PropertyGetter = std::function<Result<void>(const std::string& path, const Message& reply)>;
// Reads the new value, without its variant, from `value`. sd-bus lets only root (or the own user) write.
using PropertySetter = std::function<Result<void>(const std::string& path, const Message& value)>;

struct Method {
    std::string name;
    std::vector<Argument> in;
    std::vector<Argument> out;
    MethodHandler handler;
};

// The contract about PropertiesChanged, as introspection shows it.
enum class Emits { Constant, Change, Nothing };

struct Property {
    std::string name;
    std::string type;
    Emits emits = Emits::Change;
    PropertyGetter get;
    PropertySetter set = {}; // empty: read-only
};

struct Signal {
    std::string name;
    std::vector<Argument> arguments;
};

struct Interface {
    std::string name;
    std::vector<Method> methods = {};
    std::vector<Property> properties = {};
    std::vector<Signal> signals = {};
};

// An object path element from any text, and back (sd_bus_path_encode). `prefix` has no slash at its end.
std::string path_encode(const std::string& prefix, const std::string& id);
// Empty when `path` is not directly below `prefix`.
std::string path_decode(const std::string& prefix, const std::string& path);

} // namespace p2prc::dbus
