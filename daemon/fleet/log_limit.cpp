#include "daemon/fleet/log_limit.h"

#include <nlohmann/json.hpp>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// One of the streams that are open, for as long as it lives.
class Open {
  public:
    explicit Open(std::shared_ptr<std::size_t> count) : count_(std::move(count)) { ++*count_; }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    ~Open() { --*count_; }

  private:
    std::shared_ptr<std::size_t> count_;
};

class Counted : public link::TextStream {
  public:
    Counted(std::unique_ptr<link::TextStream> stream, std::unique_ptr<Open> open)
        : stream_(std::move(stream))
        , open_(std::move(open)) {}
    asio::awaitable<Result<std::optional<std::string>>> next() override { return stream_->next(); }

  private:
    std::unique_ptr<link::TextStream> stream_;
    std::unique_ptr<Open> open_;
};

asio::awaitable<Result<std::unique_ptr<link::TextStream>>>
open_counted(OpenLogs open, std::shared_ptr<std::size_t> count, std::size_t most, Json params) {
    if (*count >= most)
        co_return fail(ErrorCode::Failed,
                       "other nodes read " + std::to_string(most) +
                           " logs of this node already, which is the most",
                       "try again when one of them has ended");
    auto place = std::make_unique<Open>(count);
    auto stream = co_await open(std::move(params));
    if (!stream) co_return std::unexpected(stream.error());
    std::unique_ptr<link::TextStream> counted =
        std::make_unique<Counted>(std::move(*stream), std::move(place));
    co_return std::move(counted);
}

} // namespace

OpenLogs limit_logs(OpenLogs open, std::size_t most) {
    return [open = std::move(open), count = std::make_shared<std::size_t>(0), most](Json params) {
        return open_counted(open, count, most, std::move(params));
    };
}

} // namespace p2prc::daemon
