// The completion token that all coroutines here await with: errors come back as values.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace p2prc::net {

inline constexpr boost::asio::as_tuple_t<boost::asio::use_awaitable_t<>> as_result{
    boost::asio::use_awaitable};

} // namespace p2prc::net
