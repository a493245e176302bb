// The registry of this node's own, while it is alone or the root: opened, mended when damaged, listened for.
#include "daemon/fleet/damage.h"
#include "daemon/fleet/fleet_impl.h"
#include "link/join.h"
#include "net/file.h"
#include "net/log.h"
#include "net/spawn.h"
#include "store/sqlite.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

Error stopping() {
    return {ErrorCode::Unreachable, "p2prcd is being stopped"};
}

asio::awaitable<Result<Json>> admit(std::weak_ptr<registry::LocalRegistry> weak, Json params) {
    const auto registry = weak.lock();
    if (!registry) co_return fail(ErrorCode::Unreachable, "this node does not hold the registry any more");
    registry::Actor guest;
    guest.user = "invitation";
    std::string method = "node.join";
    co_return co_await registry->request_as(std::move(guest), std::move(method), std::move(params));
}

} // namespace

asio::awaitable<Result<std::shared_ptr<registry::LocalRegistry>>>
Fleet::Impl::open_registry(std::optional<Documents> copy) {
    registry::RegistryOptions registry_options;
    registry_options.file = registry_file().string();
    registry_options.copy = std::move(copy);
    registry_options.sign = [holder = ca](const std::string& domain, const std::string& request) {
        return holder->sign(domain, request);
    };
    const auto fresh = std::make_shared<registry::LocalRegistry>(nullptr, disk, executor);
    opening = fresh;
    const auto opened = co_await fresh->open(std::move(registry_options));
    opening.reset();
    if (!opened) co_return std::unexpected(opened.error());
    co_return fresh;
}

// Its state is in this node's replica too, at most a moment older. Empty where that is another registry's.
Fleet::Impl::Documents Fleet::Impl::copy_of_registry() const {
    Documents documents;
    const auto me = replica.get(keys::node(settings.name));
    if (me && text_of(*me, "key") == identity->fingerprint() && replica.contains(keys::fleet))
        for (const auto& [key, entry] : replica.entries())
            documents.emplace(key, entry.document.text());
    return documents;
}

// The registry cannot be read.
asio::awaitable<Result<void>> Fleet::Impl::mend_registry() {
    const auto self = shared_from_this();
    auto documents = copy_of_registry();
    const auto outcome = std::make_shared<Result<void>>(
        fail(ErrorCode::Failed, "the registry cannot be read, and this node has no copy of it"));
    disk.post([outcome, file = registry_file().string(), documents = std::move(documents)] {
        if (!store::is_damaged(file))
            *outcome = fail(ErrorCode::NotSupported, "the registry is not damaged");
        else if (!documents.empty())
            *outcome = rebuild_registry(file, documents);
    });
    const auto thread = disk.executor();
    co_await asio::post(thread, asio::use_awaitable);
    co_return std::move(*outcome);
}

// No registry and no error: it cannot be had, and `no_registry` says why.
asio::awaitable<Result<std::shared_ptr<registry::LocalRegistry>>> Fleet::Impl::open_or_mend_registry() {
    const auto self = shared_from_this();
    auto fresh = co_await open_registry();
    if (fresh || fresh.error().code != ErrorCode::Failed) co_return fresh;
    const auto damage = fresh.error();
    const auto mended = co_await mend_registry();
    if (mended) {
        net::log_error(damage.message + "; the registry was rebuilt from this node's copy of it");
        co_return co_await open_registry();
    }
    if (mended.error().code == ErrorCode::NotSupported) {
        // The database is sound; rows in it may not be.
        fresh = co_await open_registry(copy_of_registry());
        if (fresh) net::log_error(damage.message + "; what was damaged is set aside: see p2prc status");
        co_return fresh;
    }
    // What runs here is looked after all the same: that does not need a registry.
    no_registry = Error{ErrorCode::Unreachable, damage.message + "; " + mended.error().message,
                        "put a backup of " + registry_file().string() +
                            " in its place while p2prcd is stopped; or move the file away and say p2prc "
                            "init again, after which the other nodes have to join again"};
    net::log_error(no_registry->message + "; " + no_registry->hint);
    co_return nullptr;
}

asio::awaitable<Result<void>> Fleet::Impl::start_registry(Json brought) {
    const auto self = shared_from_this();
    auto fresh = co_await open_or_mend_registry();
    if (fresh && !*fresh) co_return Result<void>();
    if (!fresh) co_return std::unexpected(fresh.error());
    if (stopped) co_return std::unexpected(stopping());
    registry = *fresh;
    registry->act_as(settings.name, Role::Owner);
    Json init{{"name", settings.name}, {"key", identity->fingerprint()}, {"by", "p2prcd@" + settings.name}};
    const auto made = co_await registry->request("fleet.init", std::move(init));
    if (!made) co_return std::unexpected(made.error());
    if (stopped) co_return std::unexpected(stopping());
    // Before anybody sees the registry without it.
    if (!brought.empty()) co_await take_home(std::move(brought));
    if (stopped) co_return std::unexpected(stopping());
    feed = registry::feed_replica(*registry, replica, [](const Error& error) {
        net::log_error("this node does not hear of changes of its registry any more: " + error.message +
                       "; restart p2prcd");
    });
    upload = std::make_unique<Upload>(executor, *registry, own, replica);
    Json live{{"node", settings.name}, {"state", "up"}};
    const auto up = co_await registry->request("node.live", std::move(live));
    if (!up) net::log_warning("this node cannot be noted as up: " + up.error().message);
    if (stopped) co_return std::unexpected(stopping());
    // The replica is whole by now, and this node's own registry is its own word.
    if (!origins.kept()) origins.keep(replica, settings.name);
    HubOptions hub_options;
    hub_options.node_name = [weak = weak_from_this()] {
        const auto impl = weak.lock();
        return impl ? impl->settings.name : std::string();
    };
    hub_options.open_logs = logs_for_others;
    hub_options.looked = options.looked;
    hub_options.timing = options.hub_timing;
    hub = std::make_unique<Hub>(executor, *registry, replica, std::move(hub_options));
    co_return listen();
}

Result<void> Fleet::Impl::listen() {
    if (!options.control_socket) return {};
    // The server closes its copy; the socket of the unit stays for the next one.
    net::UniqueFd copy(::fcntl(options.control_socket.get(), F_DUPFD_CLOEXEC, 3));
    if (!copy) return std::unexpected(system_error("cannot use the control socket", errno));
    link::ServerHandlers handlers;
    handlers.is_member = [weak = weak_from_this()](std::string_view key) {
        const auto self = weak.lock();
        return self && self->hub && key != self->identity->fingerprint() && self->hub->is_member(key);
    };
    handlers.invitation = [weak = weak_from_this()](std::string_view id) -> std::optional<Bytes> {
        const auto self = weak.lock();
        if (!self || !self->registry) return {};
        const auto invitation = self->registry->find_invitation(id);
        return invitation ? from_hex(invitation->secret) : std::nullopt;
    };
    handlers.connected = [weak = weak_from_this()](net::TlsStream stream, net::Endpoint source) {
        const auto self = weak.lock();
        if (!self || !self->hub) return;
        if (stream.alpn() != link::join_alpn) {
            self->hub->serve(std::move(stream), source);
            return;
        }
        const std::weak_ptr registry = self->registry;
        asio::co_spawn(self->executor,
                       link::serve_join(
                           self->executor,
                           [registry](Json params) { return admit(registry, std::move(params)); },
                           std::move(stream), source),
                       net::ReportFailure("serving a join"));
    };
    auto started = link::ControlServer::start(executor, std::move(copy), *identity, std::move(handlers),
                                              options.server_limits);
    if (!started) return std::unexpected(started.error());
    server = std::move(*started);
    return {};
}

// Afterwards nothing refers to the registry, and its file can be moved.
asio::awaitable<void> Fleet::Impl::stop_registry() {
    const auto self = shared_from_this();
    server.reset();
    hub.reset();
    upload.reset();
    feed.reset();
    if (!registry) co_return;
    registry->close();
    registry.reset();
    const auto thread = disk.executor();
    co_await asio::post(thread, asio::use_awaitable);
}

Result<void> Fleet::Impl::remove_registry() const {
    // SQLite's file, those beside it, and the store's note that it was closed.
    for (const char* suffix : {"", "-wal", "-shm", ".closed"})
        if (const auto removed = net::remove_file(registry_file().string() + suffix); !removed)
            return removed;
    return {};
}

} // namespace p2prc::daemon
