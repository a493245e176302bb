#include "core/route_table.h"

#include <gtest/gtest.h>

namespace p2prc {
namespace {

Result<std::string> read_zone_file(const std::string& path) {
    if (path == "dir/extra.zone") return std::string("www A 192.0.2.1\n");
    return fail(ErrorCode::NotFound, "cannot read " + path);
}

constexpr const char* routes = R"([[route]]
domain = "App.home.example"
to = "127.0.0.1:9443"

[[route]]
domain = "*.home.example"
to = "127.0.0.1:9444"

[[zone]]
name = "home.example"
addresses = ["203.0.113.1"]
file = "extra.zone"
)";

TEST(RoutesFile, IsRead) {
    const auto table = route_table_from_toml(routes, "dir/routes.toml", read_zone_file);
    ASSERT_TRUE(table) << table.error().message;
    ASSERT_EQ(table->routes.size(), 2U);
    EXPECT_EQ(table->routes[0].domain, "app.home.example");
    EXPECT_EQ(table->routes[0].to, "127.0.0.1:9443");
    ASSERT_EQ(table->zones.size(), 1U);
    EXPECT_EQ(table->zones[0].file_text, "www A 192.0.2.1\n");
    EXPECT_EQ(table->zones[0].file_name, "dir/extra.zone");
    EXPECT_EQ(route_table_from_json(to_json(*table)), *table);
}

TEST(RoutesFile, ErrorsNameFileLineAndKey) {
    const std::pair<const char*, const char*> cases[] = {
        {"[[route]]\ndomain = 'a.b'\n", "r.toml:1: route[0].to: is missing"},
        {"[[route]]\ndomian = 'a.b'\n", "r.toml:2: route[0].domian: unknown key"},
        {"[[route]]\ndomain = 'a'\nto = 'x'\n", "r.toml:2: route[0].domain: domain 'a' has only one label"},
        {"[[route]]\ndomain = 'a.b'\nto = 'localhost:1'\n",
         "r.toml:3: route[0].to: 'localhost:1' is not ADDRESS:PORT"},
        {"[[route]]\ndomain = 'a.b'\nto = '[::1]:1'\n[[route]]\ndomain = 'A.b'\nto = '127.0.0.1:2'\n",
         "r.toml:5: route[1].domain: 'a.b' is routed twice"},
        {"[[zone]]\nname = 'a.b'\nfile = 'none.zone'\n", "r.toml:3: zone[0].file: cannot read none.zone"},
        {"[[port]]\npublic = '1.2.3.4:5'\n", "r.toml:1: port[0]: port mappings are not in this version"},
        {"[route]\n", "r.toml:1: route: must be a list of tables"},
        {"[[rout]]\n", "r.toml:1: rout: unknown key"},
    };
    for (const auto& [text, message] : cases) {
        const auto table = route_table_from_toml(text, "r.toml", read_zone_file);
        ASSERT_FALSE(table) << text;
        EXPECT_EQ(table.error().message.find(message), 0U) << table.error().message;
    }
}

} // namespace
} // namespace p2prc
