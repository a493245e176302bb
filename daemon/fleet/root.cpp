#include "daemon/fleet/root.h"

#include "core/json_members.h"
#include "daemon/fleet/damage.h"
#include "daemon/fleet/role_change.h"
#include "link/join.h"
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

asio::awaitable<Result<Json>> admit(std::weak_ptr<registry::LocalRegistry> weak, Json params) {
    const auto registry = weak.lock();
    if (!registry) co_return fail(ErrorCode::Unreachable, "this node does not hold the registry any more");
    registry::Actor guest;
    guest.user = "invitation";
    std::string method = "node.join";
    co_return co_await registry->request_as(std::move(guest), std::move(method), std::move(params));
}

} // namespace

asio::awaitable<Root::Opened> Root::open_registry(std::optional<Documents> copy) {
    registry::RegistryOptions options;
    options.file = node_->registry_file().string();
    options.copy = std::move(copy);
    options.sign = [ca = node_->ca](const std::string& domain, const std::string& request) {
        return ca->sign(domain, request);
    };
    const auto fresh = std::make_shared<registry::LocalRegistry>(nullptr, node_->disk, node_->executor);
    opening_ = fresh;
    const auto opened = co_await fresh->open(std::move(options));
    opening_.reset();
    if (!opened) co_return std::unexpected(opened.error());
    co_return fresh;
}

// Its state is in this node's replica too, at most a moment older. Empty where that is another registry's.
Root::Documents Root::copy_of_registry() const {
    Documents documents;
    const auto& replica = node_->replica;
    const auto me = replica.get(keys::node(node_->name()));
    if (me && json::member<std::string>(*me, "key") == node_->key() && replica.contains(keys::fleet))
        for (const auto& [key, entry] : replica.entries())
            documents.emplace(key, entry.document.text());
    return documents;
}

// The registry cannot be read.
asio::awaitable<Result<void>> Root::mend_registry() {
    auto documents = copy_of_registry();
    const auto outcome = std::make_shared<Result<void>>(
        fail(ErrorCode::Failed, "the registry cannot be read, and this node has no copy of it"));
    node_->disk.post([outcome, file = node_->registry_file().string(), documents = std::move(documents)] {
        if (!store::is_damaged(file))
            *outcome = fail(ErrorCode::NotSupported, "the registry is not damaged");
        else if (!documents.empty())
            *outcome = rebuild_registry(file, documents);
    });
    const auto thread = node_->disk.executor();
    co_await asio::post(thread, asio::use_awaitable);
    co_return std::move(*outcome);
}

// No registry and no error: it cannot be had, and lost_ says why.
asio::awaitable<Root::Opened> Root::open_or_mend_registry() {
    auto fresh = co_await open_registry({});
    if (fresh || fresh.error().code != ErrorCode::Failed) co_return fresh;
    const auto damage = fresh.error();
    const auto mended = co_await mend_registry();
    if (mended) {
        net::log_error(damage.message + "; the registry was rebuilt from this node's copy of it");
        co_return co_await open_registry({});
    }
    if (mended.error().code == ErrorCode::NotSupported) {
        // The database is sound; rows in it may not be.
        fresh = co_await open_registry(copy_of_registry());
        if (fresh) net::log_error(damage.message + "; what was damaged is set aside: see p2prc status");
        co_return fresh;
    }
    // What runs here is looked after all the same: that does not need a registry.
    lost_ = Error{ErrorCode::Unreachable, damage.message + "; " + mended.error().message,
                  "put a backup of " + node_->registry_file().string() +
                      " in its place while p2prcd is stopped; or move the file away and run p2prc "
                      "init again, after which the other nodes have to join again"};
    net::log_error(lost_->message + "; " + lost_->hint);
    co_return nullptr;
}

asio::awaitable<Result<void>> Root::open(Json handover) {
    const auto self = shared_from_this();
    auto opened = co_await open_and_serve(std::move(handover));
    if (!opened && !closed_) {
        lost_ = opened.error();
        close();
    }
    co_return opened;
}

asio::awaitable<Result<void>> Root::open_and_serve(Json handover) {
    auto fresh = co_await open_or_mend_registry();
    if (fresh && !*fresh) co_return Result<void>();
    if (!fresh) co_return std::unexpected(fresh.error());
    if (closed_) co_return std::unexpected(p2prcd_is_stopping());
    registry_ = *fresh;
    const auto registry = registry_;
    const auto name = node_->name();
    registry->act_as(name, Role::Owner);
    Json init{{"name", name}, {"key", node_->key()}, {"by", "p2prcd@" + name}};
    const auto made = co_await registry->request("fleet.init", std::move(init));
    if (!made) co_return std::unexpected(made.error());
    if (closed_) co_return std::unexpected(p2prcd_is_stopping());
    if (!handover.empty()) co_await import(std::move(handover));
    if (closed_) co_return std::unexpected(p2prcd_is_stopping());
    feed_ = registry::feed_replica(*registry, node_->replica, [](const Error& error) {
        net::log_error("this node does not hear of changes of its registry any more: " + error.message +
                       "; restart p2prcd");
    });
    upload_ = std::make_unique<Upload>(node_->executor, *registry, node_->own, node_->replica);
    Json live{{"node", name}, {"state", "up"}};
    const auto up = co_await registry->request("node.live", std::move(live));
    if (!up) net::log_warning("this node cannot be noted as up: " + up.error().message);
    if (closed_) co_return std::unexpected(p2prcd_is_stopping());
    // The replica is whole by now, and what this node's own registry says is this node's own word.
    if (!node_->origins.kept()) node_->origins.keep(node_->replica, name);
    co_return serve();
}

// What is refused as a whole comes in piece by piece: nothing that runs is left without a record because of
// another thing.
asio::awaitable<void> Root::import(Json handover) {
    const auto registry = registry_;
    const auto whole = co_await registry->request("fleet.import", handover);
    if (whole) co_return;
    net::log_warning("not all that this node had in its fleet can be kept: " + whole.error().message);
    for (const std::string kind : {"domains", "processes"})
        for (const auto& item : handover[kind]) {
            if (closed_) co_return;
            Json one{{kind, Json::array({item})}, {"by", json::member<std::string>(handover, "by")}};
            const auto taken = co_await registry->request("fleet.import", std::move(one));
            if (!taken)
                net::log_error("'" + json::member<std::string>(item, kind == "domains" ? "domain" : "name") +
                               "' is not kept: " + taken.error().message);
        }
}

Result<void> Root::serve() {
    HubOptions options;
    options.node_name = [node = node_] { return node->name(); };
    options.open_logs = node_->logs_for_others;
    options.measure_usage = node_->options.measure_usage;
    options.looked = node_->options.looked;
    options.timing = node_->options.hub_timing;
    hub_ = std::make_unique<Hub>(node_->executor, *registry_, node_->replica, std::move(options));
    return listen();
}

Result<void> Root::listen() {
    const auto& socket = node_->options.control_socket;
    if (!socket) return {};
    // The server closes its copy; the socket of the unit stays for the next one.
    net::UniqueFd copy(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
    if (!copy) return std::unexpected(system_error("cannot use the control socket", errno));
    link::ServerHandlers handlers;
    handlers.is_member = [weak = weak_from_this()](std::string_view key) {
        const auto self = weak.lock();
        return self && self->hub_ && key != self->node_->key() && self->hub_->is_member(key);
    };
    handlers.invitation = [weak = weak_from_this()](std::string_view id) -> std::optional<Bytes> {
        const auto self = weak.lock();
        if (!self || !self->registry_) return {};
        const auto invitation = self->registry_->find_invitation(id);
        return invitation ? from_hex(invitation->secret) : std::nullopt;
    };
    handlers.connected = [weak = weak_from_this()](net::TlsStream stream, net::Endpoint source) {
        const auto self = weak.lock();
        if (!self || !self->hub_) return;
        if (stream.alpn() != link::join_alpn) {
            self->hub_->serve(std::move(stream), source);
            return;
        }
        const auto& executor = self->node_->executor;
        link::Admit admitting = [registry = std::weak_ptr(self->registry_)](Json params) {
            return admit(registry, std::move(params));
        };
        asio::co_spawn(executor, link::serve_join(executor, std::move(admitting), std::move(stream), source),
                       net::ReportFailure("serving a join"));
    };
    auto started = link::ControlServer::start(node_->executor, std::move(copy), *node_->identity,
                                              std::move(handlers), node_->options.server_limits);
    if (!started) return std::unexpected(started.error());
    server_ = std::move(*started);
    return {};
}

// The registry would refuse to have the old name's keys removed under the new one: all is put again.
void Root::name_changes() {
    upload_.reset();
}

void Root::name_changed() {
    if (registry_)
        upload_ = std::make_unique<Upload>(node_->executor, *registry_, node_->own, node_->replica);
}

std::optional<Error> Root::upload_trouble() const {
    return upload_ ? upload_->trouble() : std::nullopt;
}

void Root::close() {
    closed_ = true;
    server_.reset();
    hub_.reset();
    upload_.reset();
    feed_.reset();
    for (const auto& open : {opening_, registry_})
        if (open) open->close();
    registry_.reset();
}

asio::awaitable<void> Root::close_file() {
    const auto self = shared_from_this();
    close();
    const auto thread = node_->disk.executor();
    co_await asio::post(thread, asio::use_awaitable);
}

} // namespace p2prc::daemon
