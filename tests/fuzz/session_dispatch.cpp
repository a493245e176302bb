// What a hostile peer says on a control link, to either end of it: documents in any order, cut anywhere,
// answers to nothing, pieces of streams that nobody opened. Each of its requests is answered once, it gets no
// more pieces of a stream than it has asked for, a broken frame ends the connection, and nothing outlives the
// connection.
//
// An input is a script of lines. The first letter of the input says which end of TLS is tested (s or c), and
// as a capital that the script says the peer's hello itself. Then a line is:
//   {...}   a document of the peer      -N    documents are cut into pieces of that many bytes from now on
//   =...    bytes without a frame       ~...  bytes outside TLS
//   ?       this end asks               <     this end opens a stream
//   .       and reads a piece of it     x     and is done with it
//   p       this end pings              w     this end writes much
//   r       requests that wait here are answered
//   f       the peer reads no more, or reads again
//   e, E    this end, the peer closes
#include "link/frame.h"
#include "link/session.h"
#include "net/event.h"
#include "tests/fuzz/tls_peer.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdlib>
#include <deque>
#include <map>

namespace {

namespace asio = boost::asio;
using namespace p2prc;
using fuzz::identity;
using fuzz::require;

// The peer, with a book of what it is owed.
class Peer final : public fuzz::TlsPeer {
  public:
    using TlsPeer::TlsPeer;

    // The connection goes on, as far as the peer has kept the rules.
    bool well_behaved() const { return keeps_tls() && !broken_; }
    bool has_broken_a_frame() const { return keeps_tls() && broken_; }

    void cancel_streams() {
        for (const auto& [id, owed] : owed_)
            if (owed.streams > 0) say(*link::encode_frame({{"cancel", id}}));
    }
    void check_answers() const {
        require(pings_ == pongs_);
        for (const auto& [id, owed] : owed_)
            require(owed.answers == owed.requests);
    }

  private:
    struct Owed {
        std::size_t requests = 0; // streams among them
        std::size_t streams = 0;
        std::size_t answers = 0;
        std::size_t pieces = 0;
        std::size_t asked_for = 0; // pieces beyond the first
    };

    static std::optional<std::uint64_t> number(const Json& document, const char* key) {
        const auto it = document.find(key);
        if (it == document.end() || !it->is_number_unsigned()) return {};
        return it->get<std::uint64_t>();
    }

    // As the protocol reads it: the first of these that a document has is what it is.
    void said(ByteView bytes) override {
        said_.feed(bytes);
        while (!broken_) {
            const auto document = said_.next();
            if (!document) broken_ = true;
            if (!document || !*document) return;
            if (!std::exchange(said_hello_, true)) {
                const auto hello = (*document)->find("hello");
                if (hello == (*document)->end() || !hello->is_object()) broken_ = true;
            } else if (number(**document, "ping")) {
                ++pings_;
            } else if (number(**document, "pong") || (*document)->contains("event")) {
                continue;
            } else if (const auto more = number(**document, "more")) {
                ++owed_[*more].asked_for;
            } else if (number(**document, "cancel")) {
                continue;
            } else if (const auto id = number(**document, "id"); id && (*document)->contains("method")) {
                ++owed_[*id].requests;
                if ((*document)->contains("stream")) ++owed_[*id].streams;
            }
        }
    }

    void note_heard(const Json& document) {
        if (number(document, "pong")) {
            require(++pongs_ <= pings_);
        } else if (const auto id = number(document, "id"); id && !document.contains("method")) {
            auto& owed = owed_[*id];
            if (document.contains("chunk"))
                require(++owed.pieces <= link::stream_window * owed.streams + owed.asked_for);
            else
                require(++owed.answers <= owed.requests);
        }
    }

    void heard(ByteView bytes) override {
        heard_.feed(bytes);
        while (true) {
            const auto document = heard_.next();
            require(document.has_value());
            if (!*document) return;
            note_heard(**document);
        }
    }

    link::FrameReader said_, heard_;
    std::map<std::uint64_t, Owed> owed_;
    std::size_t pings_ = 0, pongs_ = 0;
    bool said_hello_ = false;
    bool broken_ = false; // said what is no frame, or no hello at first
};

// Numbers; without an end where it is followed.
class Counting : public link::TextStream {
  public:
    Counting(const asio::any_io_executor& executor, bool follow, int& alive)
        : event_(executor)
        , follow_(follow)
        , alive_(alive) {
        ++alive_;
    }
    ~Counting() override { --alive_; }
    asio::awaitable<Result<std::optional<std::string>>> next() override {
        if (at_ == 40 && follow_) co_await event_.wait();
        if (at_ == 40) co_return std::optional<std::string>();
        co_return std::optional(std::to_string(at_++));
    }

  private:
    net::Event event_;
    bool follow_;
    int at_ = 0;
    int& alive_;
};

// The end that is tested, with handlers that answer at once, later or badly.
class TestedEnd {
  public:
    TestedEnd(asio::io_context& loop, int socket, bool server) : loop_(loop) {
        const auto any = [](std::string_view) { return true; };
        static const auto as_server = *net::tls_server(identity(), {{"test", any, {}}});
        static const auto as_client = *net::tls_client(identity(), "test", any);
        net::TlsStream stream(loop.get_executor(), net::UniqueFd(socket), server ? as_server : as_client);
        spawn(run(std::move(stream), server));
    }
    TestedEnd(const TestedEnd&) = delete;
    TestedEnd& operator=(const TestedEnd&) = delete;
    ~TestedEnd() { require(coroutines_ == 0 && sending_ == 0 && session_.expired()); }

    bool running() const { return running_; }
    void ask() {
        with([this](auto session) { spawn(ask(std::move(session))); });
    }
    void open_stream() {
        with([this](auto session) { spawn(open_stream(std::move(session))); });
    }
    void read_piece() {
        if (streams_.empty() || std::exchange(streams_.front()->busy, true)) return;
        spawn(read_piece(streams_.front()));
    }
    void drop_stream() {
        if (!streams_.empty()) streams_.pop_front();
    }
    void ping() {
        with([](auto session) { session->ping(); });
    }
    void write_much() {
        static const Json much{{"event", "much"}, {"text", std::string(20'000, 'x')}};
        with([](auto session) { session->send(much); });
    }
    // Returns whether there were any.
    bool answer_all() {
        const auto waiting = std::exchange(waiting_, {});
        for (const auto& event : waiting)
            event->set();
        return !waiting.empty();
    }
    void close() {
        with([](auto session) { session->close(); });
    }
    void drop_streams() { streams_.clear(); }

  private:
    struct Reading {
        std::unique_ptr<link::TextStream> stream;
        bool busy = false;
    };

    void spawn(asio::awaitable<void> what) {
        ++coroutines_;
        asio::co_spawn(loop_, std::move(what), [this](const std::exception_ptr& failure) {
            require(!failure);
            --coroutines_;
        });
    }
    template <class Action>
    void with(Action action) {
        if (auto session = session_.lock()) action(std::move(session));
    }

    asio::awaitable<void> run(net::TlsStream stream, bool server) {
        const auto side = server ? net::TlsStream::Side::Server : net::TlsStream::Side::Client;
        const auto shaken = co_await stream.handshake(side, std::chrono::seconds(5));
        if (!shaken) co_return;
        const auto session = link::Session::make(loop_.get_executor(), std::move(stream));
        session_ = session;
        running_ = true;
        Json mine{{"version", "1"}};
        const auto hello = co_await session->exchange_hello(std::move(mine), std::chrono::seconds(5));
        if (hello) {
            auto serving = handlers();
            const auto reason = co_await session->run(std::move(serving));
            require(!reason.message.empty());
        }
        require(session->closed());
        running_ = false;
    }

    link::SessionHandlers handlers() {
        link::SessionHandlers handlers;
        handlers.request = [this](std::string method, Json params) {
            return answer(std::move(method), std::move(params));
        };
        handlers.stream = [this](std::string method, Json params) {
            return count(std::move(method), std::move(params));
        };
        handlers.event = [](const Json& event) { require(event.contains("event")); };
        handlers.heard = [] {};
        return handlers;
    }
    asio::awaitable<Result<Json>> answer(std::string method, Json params) {
        if (method == "echo") co_return params;
        if (method == "large") co_return Json{{"text", std::string(link::max_frame, 'x')}};
        if (method == "throw") throw std::runtime_error("broken");
        if (method == "wait") {
            const auto event = std::make_shared<net::Event>(loop_.get_executor());
            waiting_.push_back(event);
            co_await event->wait();
            co_return Json();
        }
        co_return fail(ErrorCode::NotSupported, "'" + method + "' is not in this version");
    }
    asio::awaitable<Result<std::unique_ptr<link::TextStream>>> count(std::string method, Json params) {
        if (method == "throw") throw std::runtime_error("broken");
        if (method != "logs") co_return fail(ErrorCode::NotFound, "no such logs");
        std::unique_ptr<link::TextStream> stream =
            std::make_unique<Counting>(loop_.get_executor(), params.contains("follow"), sending_);
        co_return std::move(stream);
    }

    static asio::awaitable<void> ask(std::shared_ptr<link::Session> session) {
        Json params{{"a", 1}};
        (void)co_await session->request("ask", std::move(params));
    }
    asio::awaitable<void> open_stream(std::shared_ptr<link::Session> session) {
        Json params{{"a", 1}};
        auto opened = co_await session->open_stream("logs", std::move(params));
        if (opened) streams_.push_back(std::make_shared<Reading>(std::move(*opened)));
    }
    static asio::awaitable<void> read_piece(std::shared_ptr<Reading> reading) {
        (void)co_await reading->stream->next();
        reading->busy = false;
    }

    asio::io_context& loop_;
    std::weak_ptr<link::Session> session_;
    std::deque<std::shared_ptr<Reading>> streams_;
    std::vector<std::shared_ptr<net::Event>> waiting_;
    int coroutines_ = 0;
    int sending_ = 0; // streams that the peer reads
    bool running_ = false;
};

class Link {
  public:
    explicit Link(bool server) : Link(server, fuzz::connected_sockets()) {}

    void run(std::string_view script) {
        while (!script.empty()) {
            const auto line = script.substr(0, script.find('\n'));
            script.remove_prefix(std::min(script.size(), line.size() + 1));
            if (!line.empty()) step(line);
        }
        finish();
    }
    void say_hello() {
        peer_.say(*link::encode_frame({{"hello", Json::object()}}));
        turn();
    }

  private:
    Link(bool server, std::pair<int, int> ends)
        : tested_(loop_, ends.first, server)
        , peer_(ends.second, !server) {
        do
            loop_.poll();
        while (peer_.shake_hands());
        for (int i = 0; i < 4; ++i) {
            peer_.shake_hands();
            loop_.poll();
        }
        require(tested_.running());
    }

    void turn() {
        do
            loop_.poll();
        while (peer_.move());
    }

    void step(std::string_view line) {
        const auto rest = line.substr(1);
        const ByteView bytes(reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size());
        switch (line.front()) {
        case '{':
            say_document(line);
            break;
        case '-':
            cut_ = std::strtoul(std::string(rest).c_str(), nullptr, 10);
            break;
        case '=':
            peer_.say(bytes);
            break;
        case '~':
            peer_.say_outside(bytes);
            break;
        case '?':
            tested_.ask();
            break;
        case '<':
            tested_.open_stream();
            break;
        case '.':
            tested_.read_piece();
            break;
        case 'x':
            tested_.drop_stream();
            break;
        case 'p':
            tested_.ping();
            break;
        case 'w':
            tested_.write_much();
            break;
        case 'r':
            tested_.answer_all();
            break;
        case 'f':
            peer_.toggle_reading();
            break;
        case 'e':
            tested_.close();
            break;
        case 'E':
            peer_.close();
            break;
        default:
            return;
        }
        turn();
    }

    // A frame around it, whatever it is.
    void say_document(std::string_view text) {
        const auto size = static_cast<std::uint32_t>(text.size());
        Bytes frame{static_cast<std::uint8_t>(size >> 24U), static_cast<std::uint8_t>(size >> 16U),
                    static_cast<std::uint8_t>(size >> 8U), static_cast<std::uint8_t>(size)};
        frame.insert(frame.end(), text.begin(), text.end());
        for (ByteView left(frame); !left.empty();) {
            const auto piece = left.first(cut_ > 0 ? std::min<std::size_t>(cut_, left.size()) : left.size());
            left = left.subspan(piece.size());
            peer_.say(piece);
            if (cut_ > 0) turn();
        }
    }

    void finish() {
        tested_.drop_streams();
        peer_.read_again();
        turn();
        while (tested_.answer_all()) // more of its requests are read then
            turn();
        if (peer_.has_broken_a_frame()) require(!tested_.running() && peer_.ended());
        if (peer_.well_behaved() && tested_.running()) {
            peer_.cancel_streams();
            turn();
            // The end of one stream among two of a number ends the connection.
            if (tested_.running() && peer_.all_said()) peer_.check_answers();
        }
        tested_.close();
        peer_.close();
        turn();
    }

    asio::io_context loop_;
    asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(loop_);
    TestedEnd tested_;
    Peer peer_;
    std::size_t cut_ = 0;
};

} // namespace

// As systemd does for services (IgnoreSIGPIPE=); the peer of this test writes with write(2).
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    std::signal(SIGPIPE, SIG_IGN);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return -1;
    const std::string_view script(reinterpret_cast<const char*>(data), size);
    const char role = script.front();
    if (role != 's' && role != 'c' && role != 'S' && role != 'C') return -1;
    Link link(role == 's' || role == 'S');
    if (role == 's' || role == 'c') link.say_hello();
    link.run(script.substr(1));
    return 0;
}
