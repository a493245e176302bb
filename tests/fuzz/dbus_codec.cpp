// Any document, as any type: what the codec writes, sd-bus takes, and the codec reads again.
#include "dbus/codec.h"

#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iterator>

namespace {

using p2prc::dbus::Message;
using Json = nlohmann::json;

// A connection that has been started, so that messages can be made; nobody is at its other end.
sd_bus* connection() {
    static sd_bus* const bus = [] {
        sd_bus* made = nullptr;
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ||
            sd_bus_new(&made) < 0 || sd_bus_set_fd(made, ends[0], ends[0]) < 0 || sd_bus_start(made) < 0)
            std::abort();
        return made;
    }();
    return bus;
}

Message make() {
    sd_bus_message* message = nullptr;
    if (sd_bus_message_new_signal(connection(), &message, "/x", "org.example1.X", "Y") < 0) std::abort();
    return Message::adopt(message);
}

Json read_back(const Message& message) {
    if (sd_bus_message_seal(message.get(), 1, 0) < 0 || sd_bus_message_rewind(message.get(), 1) < 0)
        std::abort();
    auto read = p2prc::dbus::read_body(message);
    if (!read) std::abort();
    return *read;
}

// CBOR, unlike JSON, passes texts on that are not UTF-8. Its reader throws for a length that cannot be,
// whatever it is told about exceptions.
Json document(const std::uint8_t* begin, const std::uint8_t* end) {
    try {
        return Json::from_cbor(begin, end, true, false, Json::cbor_tag_handler_t::ignore);
    } catch (const Json::exception&) {
        return Json(Json::value_t::discarded);
    }
}

constexpr std::array types{"s",      "b",  "u", "t",     "x",    "d", "as", "a{sv}",
                           "aa{sv}", "av", "v", "a{ss}", "(sb)", "o", "y",  "a(sv)"};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const Json value = document(data + 1, data + size);
    if (value.is_discarded()) return 0;
    const char* type = types[data[0] % types.size()];
    const bool exact = data[0] >= 128;
    const Message message = make();
    const bool fits = p2prc::dbus::fits(type, value, {.exact = exact});
    const auto written = p2prc::dbus::write_value(message, type, value, {.exact = exact});
    if (written.has_value() != fits) std::abort();
    const Json read = read_back(message);
    if (read.size() != (fits ? 1U : 0U)) std::abort();

    const Message table = make();
    const Json list = value.is_array() ? value : Json::array({value});
    std::size_t rows = 0;
    for (const Json& row : list)
        rows += row.is_object() ? 1 : 0;
    if (!p2prc::dbus::write_field_list(table, p2prc::process_fields(), list)) std::abort();
    if (read_back(table)[0].size() != rows) std::abort();
    return 0;
}
