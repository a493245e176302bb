#include "net/dns_client.h"

#include "net/asio.h"
#include "net/one_shot_timer.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <sys/socket.h>

#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace p2prc::net {
namespace asio = boost::asio;
namespace {

using Packet = std::vector<unsigned char>;

struct AresFree {
    void operator()(void* data) const noexcept { ares_free_data(data); }
    void operator()(ares_addrinfo* list) const noexcept { ares_freeaddrinfo(list); }
};

Error error_of(int status, const std::string& name) {
    const bool absent = status == ARES_ENOTFOUND || status == ARES_ENODATA;
    return {absent ? ErrorCode::NotFound : ErrorCode::Unreachable,
            fmt::format("DNS has no answer for {}: {}", name, ares_strerror(status)), ""};
}

// One query in progress: c-ares holds a reference until it has an answer.
struct Question {
    explicit Question(asio::any_io_executor executor) : answered(executor) {
        answered.expires_at(std::chrono::steady_clock::time_point::max());
    }
    asio::steady_timer answered; // cancelled then
    std::optional<int> status;
    Packet packet;
    std::vector<Address> addresses;

    // For c-ares, which gives it back with the answer.
    static void* hand_out(const std::shared_ptr<Question>& question) {
        return new std::shared_ptr<Question>(question);
    }
    static std::shared_ptr<Question> take_back(void* argument, int status) {
        const std::unique_ptr<std::shared_ptr<Question>> held(
            static_cast<std::shared_ptr<Question>*>(argument));
        (*held)->status = status;
        (*held)->answered.cancel();
        return *held;
    }
};

void on_answer(void* argument, int status, int, unsigned char* packet, int size) {
    const auto question = Question::take_back(argument, status);
    if (status == ARES_SUCCESS && packet && size > 0) question->packet.assign(packet, packet + size);
}

void on_addresses(void* argument, int status, int, ares_addrinfo* list) {
    const std::unique_ptr<ares_addrinfo, AresFree> held(list);
    const auto question = Question::take_back(argument, status);
    for (const auto* node = list ? list->nodes : nullptr; node; node = node->ai_next)
        question->addresses.push_back(Endpoint::from_sockaddr(node->ai_addr, node->ai_addrlen).address);
}

} // namespace

struct DnsClient::State : std::enable_shared_from_this<DnsClient::State> {
    using Descriptor = asio::posix::stream_descriptor;

    State(asio::any_io_executor executor_, DnsClientOptions options_)
        : executor(executor_)
        , options(std::move(options_))
        , timer(executor) {}

    ~State() {
        if (channel) ares_destroy(channel);
    }

    int open() {
        ares_library_init(ARES_LIB_INIT_ALL);
        ares_options settings{};
        settings.timeout = static_cast<int>(options.timeout.count());
        settings.tries = options.tries;
        settings.flags = ARES_FLAG_NOALIASES | ARES_FLAG_NOSEARCH | ARES_FLAG_NOCHECKRESP;
        settings.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
            static_cast<State*>(self)->watch(socket, readable != 0, writable != 0);
        };
        settings.sock_state_cb_data = this;
        const int status =
            ares_init_options(&channel, &settings,
                              ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB);
        if (status != ARES_SUCCESS || options.servers.empty()) return status;
        std::string servers;
        for (const Address& server : options.servers)
            servers += (servers.empty() ? "" : ",") + Endpoint{server, options.port}.text();
        return ares_set_servers_ports_csv(channel, servers.c_str());
    }

    // c-ares closes its sockets itself and calls this before.
    void watch(ares_socket_t socket, bool readable, bool writable) {
        auto& descriptor = sockets[socket];
        if (!readable && !writable) {
            if (descriptor) descriptor->release();
            sockets.erase(socket);
            return;
        }
        if (!descriptor) descriptor = std::make_unique<Descriptor>(executor, socket);
        if (readable) wait(socket, Descriptor::wait_read);
        if (writable) wait(socket, Descriptor::wait_write);
    }

    void wait(ares_socket_t socket, Descriptor::wait_type what) {
        const auto found = sockets.find(socket);
        if (found == sockets.end()) return;
        found->second->async_wait(what, [weak = weak_from_this(), socket, what](const auto& error) {
            const auto self = weak.lock();
            if (error || !self) return;
            const bool reads = what == Descriptor::wait_read;
            ares_process_fd(self->channel, reads ? socket : ARES_SOCKET_BAD,
                            reads ? ARES_SOCKET_BAD : socket);
            if (reads) self->wait(socket, what);
            self->schedule();
        });
    }

    // Timeouts of c-ares.
    void schedule() {
        timeval next{};
        if (!ares_timeout(channel, nullptr, &next)) return;
        const auto wait = std::chrono::seconds(next.tv_sec) + std::chrono::microseconds(next.tv_usec);
        timer.arm(wait + std::chrono::milliseconds(1), [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            ares_process_fd(self->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
            self->schedule();
        });
    }

    // Hands the question to c-ares.
    using Send = std::function<void(ares_channel, void* question)>;
    static asio::awaitable<Result<std::shared_ptr<Question>>> ask(std::shared_ptr<State> self,
                                                                  std::string name, Send send) {
        if (!self->channel)
            if (const int status = self->open(); status != ARES_SUCCESS) {
                const Error error = error_of(status, name);
                co_return std::unexpected(error);
            }
        const auto question = std::make_shared<Question>(self->executor);
        send(self->channel, Question::hand_out(question));
        self->schedule();
        while (!question->status)
            co_await question->answered.async_wait(as_result);
        if (*question->status != ARES_SUCCESS) {
            const Error error = error_of(*question->status, name);
            co_return std::unexpected(error);
        }
        co_return question;
    }

    static asio::awaitable<Result<Packet>> ask_for(std::shared_ptr<State> self, std::string name, int type) {
        const Send send = [name, type](ares_channel channel, void* question) {
            ares_query(channel, name.c_str(), ns_c_in, type, on_answer, question);
        };
        auto question = co_await ask(self, name, send);
        if (!question) co_return std::unexpected(question.error());
        co_return std::move((*question)->packet);
    }

    asio::any_io_executor executor;
    DnsClientOptions options;
    ares_channel channel = nullptr;
    std::map<ares_socket_t, std::unique_ptr<Descriptor>> sockets;
    OneShotTimer timer;
};

DnsClient::DnsClient(asio::any_io_executor executor, DnsClientOptions options)
    : state_(std::make_shared<State>(std::move(executor), std::move(options))) {}

DnsClient::~DnsClient() {
    if (state_->channel) ares_cancel(state_->channel);
}

asio::awaitable<Result<std::vector<std::string>>> DnsClient::texts(std::string name) {
    Result<Packet> packet = co_await State::ask_for(state_, name, ns_t_txt);
    if (!packet) co_return std::unexpected(packet.error());
    ares_txt_ext* first = nullptr;
    const int status = ares_parse_txt_reply_ext(packet->data(), static_cast<int>(packet->size()), &first);
    const std::unique_ptr<ares_txt_ext, AresFree> held(first);
    if (status != ARES_SUCCESS) {
        const Error error = error_of(status, name);
        co_return std::unexpected(error);
    }
    std::vector<std::string> texts;
    for (const ares_txt_ext* part = first; part; part = part->next) {
        if (part->record_start || texts.empty()) texts.emplace_back();
        texts.back().append(reinterpret_cast<const char*>(part->txt), part->length);
    }
    co_return texts;
}

asio::awaitable<Result<std::vector<Address>>> DnsClient::addresses(std::string name) {
    const State::Send send = [name](ares_channel channel, void* question) {
        ares_addrinfo_hints hints{};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM; // each address once
        ares_getaddrinfo(channel, name.c_str(), nullptr, &hints, on_addresses, question);
    };
    auto question = co_await State::ask(state_, name, send);
    if (!question) co_return std::unexpected(question.error());
    if ((*question)->addresses.empty()) {
        const Error error = error_of(ARES_ENODATA, name);
        co_return std::unexpected(error);
    }
    co_return std::move((*question)->addresses);
}

asio::awaitable<Result<std::string>> DnsClient::primary(std::string zone) {
    Result<Packet> packet = co_await State::ask_for(state_, zone, ns_t_soa);
    if (!packet) co_return std::unexpected(packet.error());
    ares_soa_reply* soa = nullptr;
    const int status = ares_parse_soa_reply(packet->data(), static_cast<int>(packet->size()), &soa);
    const std::unique_ptr<ares_soa_reply, AresFree> held(soa);
    if (status != ARES_SUCCESS || !soa->nsname) {
        const Error error = error_of(status == ARES_SUCCESS ? ARES_ENODATA : status, zone);
        co_return std::unexpected(error);
    }
    co_return std::string(soa->nsname);
}

} // namespace p2prc::net
