#include "store/types.h"

#include <utility>

namespace p2prc::store {

Compare exists(std::string table, std::string key) {
    return {std::move(table), std::move(key), Compare::What::Exists, 0, {}};
}

Compare missing(std::string table, std::string key) {
    return {std::move(table), std::move(key), Compare::What::Missing, 0, {}};
}

Compare revision_is(std::string table, std::string key, std::uint64_t revision) {
    return {std::move(table), std::move(key), Compare::What::Revision, revision, {}};
}

Compare value_is(std::string table, std::string key, std::string value) {
    return {std::move(table), std::move(key), Compare::What::Value, 0, std::move(value)};
}

Operation put(std::string table, std::string key, std::string value, std::uint64_t lease) {
    return {std::move(table), std::move(key), std::move(value), lease};
}

Operation erase(std::string table, std::string key) {
    return {std::move(table), std::move(key), std::nullopt, 0};
}

} // namespace p2prc::store
