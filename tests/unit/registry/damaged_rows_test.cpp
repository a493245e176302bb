// Rows that cannot be read in a database that is sound, as a disk that fails or somebody's hand leaves them.
#include "core/json_members.h"
#include "net/file.h"
#include "registry/damaged_rows.h"
#include "registry/draft.h"
#include "store/sqlite.h"
#include "tests/unit/registry/fleet.h"

namespace p2prc::registry::test {
namespace {

class DamagedRowsTest : public FleetTest {
  protected:
    DamagedRowsTest() {
        make_fleet();
        add("home1", 'b');
        spin("web");
        spin("wiki");
    }

    void spin(const std::string& name) { ok(root(), "process.spin", {{"spec", spec(name, {{"port", 0}})}}); }
    std::uint32_t id_of(const std::string& name) {
        const auto item = registry_->store().get(replicated_table, "/processes/" + name);
        return item && *item ? json::member<std::uint32_t>(Json::parse((*item)->value), "id") : 0;
    }
    // Changes values behind the registry's back, in order, so that the store is the same.
    void write(const std::map<std::string, std::string>& values, std::string_view table = replicated_table) {
        registry_.reset();
        store::SqliteOptions options;
        options.file = file();
        options.tables = {{std::string(replicated_table), true}, {std::string(private_table), false}};
        const auto store = store::open_sqlite(options);
        ASSERT_TRUE(store) << store.error().message;
        store::Txn txn;
        for (const auto& [key, value] : values)
            txn.then.push_back(store::put(std::string(table), key, value));
        ASSERT_TRUE((*store)->txn(txn));
    }
    Result<void> reopen(std::optional<std::map<std::string, std::string>> copy) {
        registry_.reset();
        RegistryOptions options;
        options.file = file();
        options.now = [this] { return now_; };
        options.copy = std::move(copy);
        auto opened = Registry::open(std::move(options));
        if (!opened) return std::unexpected(opened.error());
        registry_ = std::move(*opened);
        return {};
    }
    // What is said of the rows that were set aside.
    std::string noted() const {
        for (const auto& entry : fs::directory_iterator(fs::path(file()).parent_path()))
            if (entry.path().filename().string().starts_with("registry.rows.damaged-"))
                return describe_damaged_rows(*net::read_file(entry.path()));
        return "nothing";
    }
};

TEST_F(DamagedRowsTest, WithoutACopyTheOpeningNamesTheRowAndChangesNothing) {
    write({{"/processes/web", R"({"id": 1, "na)"}});
    for (int i = 0; i < 2; ++i) {
        const auto refused = reopen({});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::Failed);
        EXPECT_THAT(refused.error().message, HasSubstr("/processes/web"));
        EXPECT_THAT(refused.error().hint, HasSubstr("backup"));
    }
    EXPECT_EQ(noted(), "nothing");
}

TEST_F(DamagedRowsTest, ACopyTakesTheirPlace) {
    const auto id = id_of("web");
    const auto good = (*registry_->store().get(replicated_table, "/processes/web"))->value;
    const auto node = (*registry_->store().get(replicated_table, "/nodes/home1"))->value;
    // Cut, replaced by nothing, and by another row.
    write({{"/processes/web", good.substr(0, good.size() / 2)},
           {"/nodes/home1", "{}"},
           {"/processes/wiki", good}});
    const std::map<std::string, std::string> copy{
        {"/processes/web", good}, {"/nodes/home1", node}, {"/processes/wiki", "[]"}};
    const auto mended = reopen(copy);
    ASSERT_TRUE(mended) << mended.error().message;
    EXPECT_EQ(id_of("web"), id);
    EXPECT_EQ((*registry_->store().get(replicated_table, "/nodes/home1"))->value, node);
    EXPECT_FALSE(*registry_->store().get(replicated_table, "/processes/wiki"));
    EXPECT_EQ(noted(), "/nodes/home1 (taken from this node's copy), /processes/web (taken from this node's "
                       "copy), /processes/wiki (lost)");
    // Once.
    ASSERT_TRUE(reopen({}));
    EXPECT_EQ(id_of("web"), id);
}

TEST_F(DamagedRowsTest, WithoutItTheRestStaysAndNoIdIsGivenTwice) {
    const auto last = id_of("wiki");
    write({{"/processes/wiki", "null"}});
    write({{"counters/process", "\"x\""}, {"invitations/" + std::string(32, 'a'), "{\"secret\": "}},
          private_table);
    ASSERT_TRUE(reopen(std::map<std::string, std::string>()));
    EXPECT_NE(id_of("web"), 0U);
    EXPECT_EQ(id_of("wiki"), 0U);
    spin("wiki");
    EXPECT_GT(id_of("wiki"), last);
    EXPECT_THAT(noted(), HasSubstr("/processes/wiki (lost)"));
    EXPECT_THAT(noted(), HasSubstr("invitations/"));
}

TEST_F(DamagedRowsTest, SoundRowsAreReadable) {
    ok(root(), "fleet.invite", {{"role", "member"}});
    ok(root(), "domain.map", {{"domain", "web.home.example"}, {"process", "web"}});
    ok(root(), "process.kill", {{"process", "wiki"}});
    ok(root(), "node.live", {{"node", "home1"}, {"state", "up"}});
    for (const auto table : {replicated_table, private_table}) {
        const auto rows = registry_->store().range(table, "");
        ASSERT_TRUE(rows);
        EXPECT_FALSE(rows->items.empty()) << table;
        for (const auto& row : rows->items)
            EXPECT_TRUE(is_readable(table, row.key, Json::parse(row.value, nullptr, false)))
                << row.key << ": " << row.value;
    }
}

} // namespace
} // namespace p2prc::registry::test
