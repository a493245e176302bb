// A registry with a clock of the test, and callers of it.
#pragma once

#include "registry/registry.h"
#include "store/store.h"
#include "tests/unit/net/temporary_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace p2prc::registry::test {

namespace fs = std::filesystem;
using testing::HasSubstr;

inline std::string fingerprint(char digit) {
    return std::string(64, digit);
}

// A fleet with root node `root`, zone home.example, and helpers to act as any node.
class FleetTest : public testing::Test {
  protected:
    FleetTest() { open(); }

    void open() {
        registry_.reset();
        RegistryOptions options;
        options.file = file();
        options.now = [this] { return now_; };
        options.sign = [](const std::string& domain, const std::string& csr) -> Result<std::string> {
            return "chain of " + domain + " for " + csr;
        };
        auto opened = Registry::open(std::move(options));
        ASSERT_TRUE(opened) << opened.error().message;
        registry_ = std::move(*opened);
    }

    // The fleet of the tests: call it first unless the test is about making one.
    void make_fleet() {
        ok(root(), "fleet.init",
           {{"name", "root"},
            {"key", fingerprint('a')},
            {"zone", "home.example"},
            {"public_ips", {"203.0.113.1"}}});
    }
    // Admits a member and returns it as a caller.
    Actor add(const std::string& name, char key, const char* role = "member") {
        const auto invitation = ok(root(), "fleet.invite", {{"role", role}});
        ok(stranger(), "node.join",
           {{"invitation", invitation["id"]}, {"name", name}, {"key", fingerprint(key)}});
        return member(name, std::string_view(role) == "owner" ? Role::Owner : Role::Member);
    }

    static Actor root() { return {"root", Role::Owner, "admin", true}; }
    static Actor member(const std::string& node, Role role = Role::Member) {
        return {node, role, "friend", false};
    }
    static Actor stranger() { return {"", Role::Member, "", false}; }

    Json ok(const Actor& actor, std::string_view method, const Json& params = Json::object()) {
        auto result = registry_->execute(actor, method, params);
        EXPECT_TRUE(result) << method << " " << params.dump() << ": " << result.error().message;
        return result ? *result : Json();
    }
    // The refusal; it must have changed nothing and must say what to do.
    Error refused(const Actor& actor, std::string_view method, const Json& params = Json::object()) {
        const auto before = registry_->store().revision();
        auto result = registry_->execute(actor, method, params);
        EXPECT_FALSE(result) << method << " " << params.dump() << " gave " << (result ? result->dump() : "");
        EXPECT_EQ(registry_->store().revision(), before) << "a refused request has written";
        return result ? Error{} : result.error();
    }

    static Json spec(const std::string& name, Json more = Json::object()) {
        Json document{{"name", name}, {"run", {{"command", {"/usr/bin/sleep", "1"}}}}};
        document.update(more);
        return document;
    }
    Json spin(const Actor& actor, const Json& document, const std::string& node = "") {
        return ok(actor, "process.spin", {{"spec", document}, {"node", node}});
    }

    // A stored document; null when there is none.
    Json at(const std::string& key) {
        auto item = registry_->store().get(replicated_table, key);
        return item && *item ? Json::parse((*item)->value) : Json();
    }
    // Writes a document past the rules, as a root that was taken over does.
    void plant(const std::string& key, const Json& document, std::string_view table = replicated_table) {
        store::Txn txn;
        txn.then.push_back(store::put(std::string(table), key, document.dump()));
        ASSERT_TRUE(registry_->store().txn(txn));
        open();
    }
    std::vector<std::string> keys_below(const std::string& prefix) {
        std::vector<std::string> keys;
        const auto range = registry_->store().range(replicated_table, prefix);
        for (const auto& item : range->items)
            keys.push_back(item.key);
        return keys;
    }
    std::string file() const { return (directory_ / "registry.db").string(); }

    const net::TemporaryDirectory temporary_;
    const fs::path& directory_ = temporary_.path();
    std::int64_t now_ = 1'800'000'000;
    std::unique_ptr<Registry> registry_;
};

} // namespace p2prc::registry::test
