#include "cli/progress.h"

#include "cli/output.h"
#include "core/text.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace p2prc::cli {

namespace asio = boost::asio;

std::string progress_words(const nlohmann::json& process) {
    const auto words = cell(process, "waits_for");
    if (words == "-") return {};
    constexpr std::size_t longest = 256; // its node says it
    return fmt::format("'{}' is {}: {}", cell(process, "name"), cell(process, "state"),
                       text::excerpt(words, longest));
}

asio::awaitable<void> tell_progress(std::function<asio::awaitable<Result<nlohmann::json>>()> look,
                                    std::function<void(const std::string&)> tell,
                                    std::chrono::steady_clock::duration between) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    std::string told;
    while (true) {
        timer.expires_after(between);
        co_await timer.async_wait(asio::use_awaitable);
        const auto process = co_await look();
        if (!process) continue; // it is not there yet
        auto words = progress_words(*process);
        if (words.empty() || words == told) continue;
        tell(words);
        told = std::move(words);
    }
}

} // namespace p2prc::cli
