// What a member, a guest and an owner in the wrong hands ask of the registry: whatever they say to whichever
// method, it is answered or refused in words that D-Bus takes, without an exception, and no record enters
// that a home would not accept.
#include "core/gate.h"
#include "core/text.h"
#include "link/frame.h"
#include "registry/methods.h"
#include "registry/registry.h"
#include "store/store.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace {

namespace fs = std::filesystem;
using namespace p2prc;

constexpr int requests_of_a_fleet = 500;

void require(bool holds) {
    if (!holds) std::abort();
}

// A root, an owner and two members, each with a process, in memory where the machine has such a directory.
class FuzzedFleet {
  public:
    FuzzedFleet() {
        const fs::path base = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
        directory_ = base / ("p2prc-fuzz-" + std::to_string(getpid()));
        fs::remove_all(directory_);
        fs::create_directories(directory_);
        registry::RegistryOptions options;
        options.file = (directory_ / "registry.db").string();
        options.now = [this] { return now_++; };
        options.sign = [](const std::string& domain, const std::string&) -> Result<std::string> {
            return "chain of " + domain;
        };
        auto opened = registry::Registry::open(std::move(options));
        require(opened.has_value());
        registry_ = std::move(*opened);
        ask(root_, "fleet.init",
            {{"name", "root"},
             {"key", std::string(64, 'a')},
             {"zone", "home.example"},
             {"public_ips", {"203.0.113.1"}}});
        join("home1", 'b', "member");
        join("home2", 'd', "member");
        join("castle", 'e', "owner");
        spin({"home2", Role::Member, "friend", false}, "victim", 8100);
        spin(home1_, "mine", 8101);
        ask(home1_, "domain.map", {{"domain", "mine.home.example"}, {"process", "mine"}});
    }
    ~FuzzedFleet() {
        registry_.reset();
        std::error_code ignored;
        fs::remove_all(directory_, ignored);
    }
    FuzzedFleet(const FuzzedFleet&) = delete;
    FuzzedFleet& operator=(const FuzzedFleet&) = delete;

    void try_all(const Json& params) {
        for (const auto& method : registry::method_table()) {
            // It has no parameters, and whoever calls it is gone.
            if (method.name == "node.leave") continue;
            for (const auto& actor : {home1_, guest_}) {
                const auto result = registry_->execute(actor, method.name, params);
                if (result)
                    (void)document_size_of(*result);
                else
                    require(text::fits_bus(result.error().message) && text::fits_bus(result.error().hint) &&
                            result.error().message.size() < 4096);
            }
        }
    }

    // What nobody else may lose by it, and what homes have to accept.
    void check() {
        for (const auto* key : {"/nodes/root", "/nodes/home2", "/nodes/castle", "/processes/victim"})
            require(document(key).is_object());
        require(document("/nodes/home1").value("role", "") == "member");
        for (const auto& [key, value] : all("/processes/"))
            require(accept_process(key, value).has_value());
        for (const auto& [key, value] : all("/domains/"))
            require(accept_domain(key, value).has_value());
        for (const auto& [key, value] : all("/tombstones/"))
            require(accept_tombstone(key, value).has_value());
        for (const auto& [key, value] : all("/challenges/"))
            require(accept_challenge(key, value).has_value());
        for (const auto& [key, value] : all("/nodes/"))
            require(accept_node(key, value).has_value());
    }

  private:
    static std::size_t document_size_of(const Json& value) {
        return value.dump(-1, ' ', false, Json::error_handler_t::replace).size();
    }
    Json ask(const registry::Actor& actor, std::string_view method, const Json& params) {
        auto result = registry_->execute(actor, method, params);
        require(result.has_value());
        return std::move(*result);
    }
    void join(const char* name, char key, const char* role) {
        const auto invitation = ask(root_, "fleet.invite", {{"role", role}});
        ask(guest_, "node.join",
            {{"invitation", invitation["id"]}, {"name", name}, {"key", std::string(64, key)}});
    }
    void spin(const registry::Actor& actor, const char* name, int port) {
        ask(actor, "process.spin",
            {{"spec", {{"name", name}, {"port", port}, {"run", {{"command", {"/bin/cat"}}}}}}});
    }
    std::vector<std::pair<std::string, Json>> all(std::string_view prefix) {
        std::vector<std::pair<std::string, Json>> found;
        const auto range = registry_->store().range(registry::replicated_table, prefix);
        require(range.has_value());
        for (const auto& item : range->items)
            found.emplace_back(item.key, Json::parse(item.value));
        return found;
    }
    Json document(std::string_view key) {
        const auto item = registry_->store().get(registry::replicated_table, key);
        return item && *item ? Json::parse((*item)->value) : Json();
    }

    const registry::Actor root_{"root", Role::Owner, "admin", true};
    const registry::Actor home1_{"home1", Role::Member, "", false};
    const registry::Actor guest_{"", Role::Member, "invitation", false};
    fs::path directory_;
    std::int64_t now_ = 1'800'000'000;
    std::unique_ptr<registry::Registry> registry_;
};

// As it comes over a link: limited in size and depth.
std::optional<Json> read_document(const std::uint8_t* data, std::size_t size) {
    link::FrameReader reader;
    const auto length = static_cast<std::uint32_t>(size);
    const std::uint8_t head[4] = {static_cast<std::uint8_t>(length >> 24U),
                                  static_cast<std::uint8_t>(length >> 16U),
                                  static_cast<std::uint8_t>(length >> 8U), static_cast<std::uint8_t>(length)};
    reader.feed(ByteView(head, sizeof head));
    reader.feed(ByteView(data, size));
    auto document = reader.next();
    if (!document || !*document) return std::nullopt;
    return std::move(**document);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static std::unique_ptr<FuzzedFleet> fleet;
    static int requests = 0;
    const auto params = read_document(data, size);
    if (!params) return -1;
    if (!fleet || ++requests == requests_of_a_fleet) {
        fleet.reset();
        fleet = std::make_unique<FuzzedFleet>();
        requests = 0;
    }
    fleet->try_all(*params);
    fleet->check();
    return 0;
}
