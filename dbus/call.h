// A method call on a connection as an Asio operation.
#pragma once

#include "dbus/connection.h"
#include "dbus/message.h"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>

namespace p2prc::dbus::detail {

// The reply or an error reply. Can be cancelled: then it throws operation_aborted, as Asio's operations do.
boost::asio::awaitable<Message> exchange(std::shared_ptr<Connection> connection, Message call,
                                         std::uint64_t timeout_microseconds);

} // namespace p2prc::dbus::detail
