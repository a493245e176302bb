#include "daemon/api/journal_logs.h"

#include "core/json_members.h"
#include "daemon/api/journal_reader.h"
#include "net/fd.h"
#include "net/spawn.h"
#include "process/deploy_unit.h"
#include "process/unit_names.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <systemd/sd-journal.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <optional>
#include <utility>
#include <vector>

namespace p2prc::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Timer = asio::steady_timer;

namespace {

constexpr std::uint32_t most_lines = 100000;
// journald writes many entries between two looks at them.
constexpr auto between_looks = 100ms;
// Should a change not be told: inotify leaves out what its queue does not hold.
constexpr auto look_anyway = 5s;

struct Stream {
    Stream(const asio::any_io_executor& executor, std::vector<std::string> units, std::uint32_t lines)
        : reader(std::move(units), lines)
        , alarm(executor) {}

    JournalReader reader; // on the thread, one call at a time
    Timer alarm;          // goes when there may be something to read
    bool woken = false;   // since the last look
    bool stale = false;   // the journal has other files
    bool displaced = false;
};

// All streams of this node. Shared with them: they may outlive whoever opens them.
struct Streams {
    explicit Streams(asio::any_io_executor loop) : executor(std::move(loop)) {}

    void wake(bool files_changed) {
        for (const auto& weak : open)
            if (const auto stream = weak.lock()) {
                stream->woken = true;
                stream->stale = stream->stale || files_changed;
                stream->alarm.cancel();
            }
    }

    asio::any_io_executor executor;
    asio::thread_pool thread{1};
    std::list<std::weak_ptr<Stream>> open; // oldest first
    std::size_t followers = 0;
    bool watching = false;
};

// Runs `work` on the thread and waits for what it returns.
template <class Work>
asio::awaitable<decltype(std::declval<Work>()())> on_thread(std::shared_ptr<Streams> streams, Work work) {
    using Value = decltype(work());
    struct Answer {
        explicit Answer(const asio::any_io_executor& executor) : ready(executor, Timer::time_point::max()) {}
        Timer ready;
        std::optional<Value> value;
    };
    const auto answer = std::make_shared<Answer>(streams->executor);
    asio::post(streams->thread, [answer, executor = streams->executor, work = std::move(work)]() mutable {
        auto value = std::make_shared<Value>(work());
        asio::post(executor, [answer, value] {
            answer->value = std::move(*value);
            answer->ready.cancel();
        });
    });
    boost::system::error_code ignored;
    co_await answer->ready.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!answer->value) throw boost::system::system_error(asio::error::operation_aborted);
    co_return std::move(*answer->value);
}

// Tells the streams of changes for as long as there is one that follows.
asio::awaitable<void> watch(std::shared_ptr<Streams> streams) {
    struct Watching {
        explicit Watching(Streams& all) : flag(&all.watching) { *flag = true; }
        Watching(const Watching&) = delete;
        Watching& operator=(const Watching&) = delete;
        ~Watching() { *flag = false; }
        bool* flag;
    };
    const Watching watching(*streams);
    const auto open = [] {
        sd_journal* opened = nullptr;
        sd_journal_open(&opened, SD_JOURNAL_LOCAL_ONLY);
        auto journal = std::shared_ptr<sd_journal>(opened, JournalCloser());
        net::UniqueFd fd(opened ? fcntl(sd_journal_get_fd(opened), F_DUPFD_CLOEXEC, 3) : -1);
        return std::pair(journal, std::make_shared<net::UniqueFd>(std::move(fd)));
    };
    const auto [journal, fd] = co_await on_thread(streams, open);
    if (!*fd) co_return; // the streams look now and then
    asio::posix::stream_descriptor descriptor(streams->executor, fd->release());
    Timer timer(streams->executor);
    boost::system::error_code error;
    // The last follower may have gone long before a change ends this; the next one finds it at work.
    while (!error && streams->followers > 0) {
        co_await descriptor.async_wait(descriptor.wait_read,
                                       asio::redirect_error(asio::use_awaitable, error));
        const auto process = [journal] { return sd_journal_process(journal.get()); };
        const int what = co_await on_thread(streams, process);
        if (what != SD_JOURNAL_NOP) streams->wake(what == SD_JOURNAL_INVALIDATE);
        timer.expires_after(between_looks);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
}

class JournalStream : public link::TextStream {
  public:
    JournalStream(std::shared_ptr<Streams> streams, std::shared_ptr<Stream> stream, bool follow)
        : streams_(std::move(streams))
        , stream_(std::move(stream))
        , follow_(follow) {
        if (follow_) ++streams_->followers;
    }
    JournalStream(const JournalStream&) = delete;
    JournalStream& operator=(const JournalStream&) = delete;
    ~JournalStream() override {
        if (follow_) --streams_->followers;
    }

    asio::awaitable<Result<std::optional<std::string>>> next() override {
        const auto streams = streams_;
        const auto stream = stream_;
        while (!stream->displaced) {
            if (follow_ && !streams->watching)
                asio::co_spawn(streams->executor, watch(streams),
                               net::ReportFailure("following the journal"));
            const bool stale = std::exchange(stream->stale, false);
            const auto read = [stream, stale] {
                if (stale) stream->reader.reopen();
                return stream->reader.read();
            };
            stream->woken = false;
            auto piece = co_await on_thread(streams, read);
            if (!piece) co_return std::unexpected(piece.error());
            if (!piece->empty()) co_return std::optional(std::move(*piece));
            if (!follow_) co_return std::optional<std::string>();
            boost::system::error_code ignored;
            stream->alarm.expires_after(look_anyway);
            if (!stream->woken && !stream->displaced)
                co_await stream->alarm.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        }
        co_return fail(ErrorCode::Failed, "too many logs are read on this node",
                       "end other 'p2prc logs -f' of processes there");
    }

  private:
    std::shared_ptr<Streams> streams_;
    std::shared_ptr<Stream> stream_;
    bool follow_;
};

void make_room(Streams& streams) {
    std::erase_if(streams.open, [](const auto& weak) { return weak.expired(); });
    if (streams.open.size() < most_log_streams) return;
    const auto oldest = streams.open.front().lock();
    streams.open.pop_front();
    if (!oldest) return;
    oldest->displaced = true;
    oldest->alarm.cancel();
}

asio::awaitable<Result<std::unique_ptr<link::TextStream>>> open(std::shared_ptr<Streams> streams,
                                                                const View* view, Json params) {
    const auto name = json::member<std::string>(params, "process");
    const auto record = view->find_process(name);
    if (!record) co_return std::unexpected(record.error());
    if (record->node != view->node())
        co_return fail(ErrorCode::NotFound, "process '" + record->name + "' does not run on this node");
    const auto lines = std::min(json::member<std::uint32_t>(params, "lines", 100), most_lines);
    make_room(*streams);
    std::vector<std::string> units{process::unit_name(record->name, process::Turn::First),
                                   process::unit_name(record->name, process::Turn::Second)};
    if (json::member<bool>(params, "deploy")) units = {process::deploy_unit_name(record->name)};
    auto stream = std::make_shared<Stream>(streams->executor, std::move(units), lines);
    streams->open.emplace_back(stream);
    co_return std::make_unique<JournalStream>(streams, stream, json::member<bool>(params, "follow"));
}

} // namespace

OpenLogs journal_logs(asio::any_io_executor executor, const View& view) {
    const auto streams = std::make_shared<Streams>(executor);
    return [streams, view = &view](Json params) { return open(streams, view, std::move(params)); };
}

} // namespace p2prc::daemon
