// The fleet's registry: the rules that may refuse, over the store of agreed state.
//
// Every request is checked whole before anything is written, and written in one transaction. Synchronous: it
// waits for the disk. LocalRegistry (local_registry.h) runs it beside an event loop.
#pragma once

#include "core/error.h"
#include "core/json.h"
#include "core/records.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::store {
class Store;
}

namespace p2prc::registry {

// Who asks. Node and role come from the key that the link verified, or are this node's own; never from a
// message.
struct Actor {
    std::string node; // empty: a guest on the join link, whose key that link has verified
    Role role = Role::Member;
    std::string user;   // name on that node, for "by"; empty: the user part of the request's "by" is taken
    bool local = false; // the request was made in this process, by p2prcd itself or its bus
};

// Signs `csr` (PEM) for `domain` with the fleet's web CA; returns the chain (PEM).
using SignCertificate = std::function<Result<std::string>(const std::string& domain, const std::string& csr)>;

struct RegistryOptions {
    std::string file;                       // "/var/lib/p2prc/registry.db"
    SignCertificate sign = {};              // empty: certificate.sign is refused
    std::function<std::int64_t()> now = {}; // Unix seconds; the system's clock when empty
    // Of the agreed state, by key. Where it is set, rows that cannot be read are set aside and taken from it,
    // instead of failing the opening; it may be empty.
    std::optional<std::map<std::string, std::string>> copy = {};
};

// An invitation that can be redeemed now, for the handshake of a join.
struct OpenInvitation {
    std::string secret; // 64 hexadecimal digits: the 32 bytes of the pre-shared key
    Role role = Role::Member;
    std::int64_t expires = 0; // Unix seconds
};

// Table of the store that nodes replicate; all others stay here.
inline constexpr std::string_view replicated_table = "registry";

class Registry {
  public:
    static Result<std::unique_ptr<Registry>> open(RegistryOptions options);
    ~Registry();

    // The vocabulary is in registry/methods.h. Unknown methods answer NotSupported.
    Result<Json> execute(const Actor& actor, std::string_view method, const Json& params);

    // From any thread, without waiting for the disk.
    std::optional<OpenInvitation> find_invitation(std::string_view id) const;

    store::Store& store();

  private:
    struct State;
    explicit Registry(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace p2prc::registry
