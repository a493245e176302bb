#include "daemon/fleet/log_shares.h"

#include "net/event.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace p2prc::daemon {

namespace asio = boost::asio;

// All places that are taken, in the order in which they were.
struct LogShares::Table {
    std::vector<Share*> shares;
};

class LogShares::Share {
  public:
    Share(std::shared_ptr<Table> table, const asio::any_io_executor& executor, std::string by, std::string of)
        : reader(std::move(by))
        , node(std::move(of))
        , changed(executor)
        , table_(std::move(table)) {
        table_->shares.push_back(this);
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { leave(); }

    void revoke() {
        revoked = true;
        changed.set();
        leave();
    }

    const std::string reader, node;
    bool revoked = false;
    net::Event changed; // a piece has come, or it is revoked

  private:
    void leave() { std::erase(table_->shares, this); }

    std::shared_ptr<Table> table_;
};

namespace {

using Piece = Result<std::optional<std::string>>;

// A read of the stream inside, ended when nobody waits for it any more.
struct Read {
    std::optional<Piece> piece;
    asio::cancellation_signal cancel;
};

class EndRead {
  public:
    explicit EndRead(std::shared_ptr<Read> read) : read_(std::move(read)) {}
    EndRead(const EndRead&) = delete;
    EndRead& operator=(const EndRead&) = delete;
    ~EndRead() {
        if (!read_->piece) read_->cancel.emit(asio::cancellation_type::terminal);
    }

  private:
    std::shared_ptr<Read> read_;
};

asio::awaitable<Piece> next_of(std::shared_ptr<link::TextStream> stream) {
    co_return co_await stream->next();
}

class Shared : public link::TextStream {
  public:
    Shared(asio::any_io_executor executor, std::unique_ptr<link::TextStream> stream,
           std::shared_ptr<LogShares::Share> share)
        : executor_(std::move(executor))
        , stream_(std::move(stream))
        , share_(std::move(share)) {}

    asio::awaitable<Piece> next() override {
        const auto share = share_;
        if (!share->revoked) {
            const auto read = std::make_shared<Read>();
            const EndRead end(read);
            auto done = [read, share](const std::exception_ptr& failure, Piece piece) {
                if (failure) piece = fail(ErrorCode::Failed, "the stream broke");
                read->piece = std::move(piece);
                share->changed.set();
            };
            asio::co_spawn(executor_, next_of(stream_),
                           asio::bind_cancellation_slot(read->cancel.slot(), std::move(done)));
            while (!read->piece && !share->revoked)
                co_await share->changed.wait();
            if (read->piece) co_return std::move(*read->piece);
        }
        co_return fail(ErrorCode::Failed,
                       fmt::format("too many logs of node '{}' are read, most of them by '{}': this one was "
                                   "ended for another node",
                                   share->node, share->reader),
                       "end some of them: each p2prc logs --follow counts");
    }

  private:
    asio::any_io_executor executor_;
    std::shared_ptr<link::TextStream> stream_;
    std::shared_ptr<LogShares::Share> share_;
};

} // namespace

LogShares::LogShares(asio::any_io_executor executor)
    : executor_(std::move(executor))
    , table_(std::make_shared<Table>()) {}

Result<std::shared_ptr<LogShares::Share>> LogShares::take(const std::string& reader,
                                                          const std::string& node) {
    const auto& shares = table_->shares;
    const auto by_reader = std::ranges::count(shares, reader, &Share::reader);
    if (!reader.empty() && by_reader >= std::ptrdiff_t{logs_of_one_reader})
        return fail(ErrorCode::Failed,
                    fmt::format("node '{}' reads {} logs of other nodes already, which is the most", reader,
                                logs_of_one_reader),
                    "end one of them: each p2prc logs --follow is one");
    std::map<std::string, std::vector<Share*>> of_node;
    std::size_t all = 0;
    for (auto* share : shares)
        if (share->node == node) {
            of_node[share->reader].push_back(share);
            ++all;
        }
    if (all >= logs_of_one_node) {
        const auto own = of_node[reader].size();
        of_node.erase("");
        const auto biggest =
            std::ranges::max_element(of_node, {}, [](const auto& entry) { return entry.second.size(); });
        if (biggest == of_node.end() || biggest->second.size() <= own + 1)
            return fail(ErrorCode::Failed,
                        fmt::format("{} logs of node '{}' are read already, which is the most", all, node),
                        "try again when one of them has ended");
        biggest->second.back()->revoke();
    }
    return std::make_shared<Share>(table_, executor_, reader, node);
}

std::unique_ptr<link::TextStream> LogShares::hold(std::unique_ptr<link::TextStream> stream,
                                                  std::shared_ptr<Share> share) const {
    return std::make_unique<Shared>(executor_, std::move(stream), std::move(share));
}

} // namespace p2prc::daemon
