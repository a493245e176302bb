// Boost.Asio's own code, compiled here once for all programs (BOOST_ASIO_SEPARATE_COMPILATION).
#include <boost/asio/impl/src.hpp>
// And its TLS part.
#include <boost/asio/ssl/impl/src.hpp>
