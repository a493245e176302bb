// How much of the answers to each caller may wait in the bus unread, and which callers are refused for it.
//
// dbus-daemon keeps what a program does not read, counts it against the sender, and reads nothing more of a
// sender that has 127 MiB of it (max_incoming_bytes in dbus-daemon(1)): callers that never read could silence
// p2prcd towards everybody, PID 1 included. Only the bus knows what is unread, so it is asked, and between
// two looks what was sent counts as unread.
#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

namespace p2prc::dbus {

struct UnreadLimits {
    std::size_t all = std::size_t{96} << 20U;     // the rest is for small answers, signals and our own calls
    std::size_t small = std::size_t{8} << 10U;    // these are sent whatever others have unread
    std::size_t refusals = std::size_t{8} << 10U; // to one caller, that it does not read either
    std::size_t look_from = std::size_t{512} << 10U; // of one caller
    std::size_t callers = 256;                       // beyond it, those longest not looked at are
    std::size_t looks = 4;                           // under way at once
};

class UnreadAnswers {
  public:
    enum class Verdict { Serve, Refuse, Ignore };

    explicit UnreadAnswers(UnreadLimits limits = {}) noexcept : limits_(limits) {}

    // What is to be done with a call of `caller`. Each may have a quarter of what is left unread, and `small`
    // where there is less: however many there are, something is left for the next. Its newest answer does not
    // count, as it may be about to be read. Ignore: it does not read the words of a refusal either, and more
    // of them would take the room of others.
    Verdict verdict(const std::string& caller);
    // Whether there is room for an answer of `bytes`.
    bool fits(std::size_t bytes) const noexcept;
    void sent(const std::string& caller, std::size_t bytes);
    void refused(const std::string& caller, std::size_t bytes);

    // The caller about whom the bus is to be asked next; looked() must follow.
    std::optional<std::string> next_look();
    // What the bus had for it then, from whomever; nothing, too, when it is gone.
    void looked(const std::string& caller, std::size_t unread);
    // This bus does not tell: nobody is refused.
    void give_up();

    std::size_t total() const noexcept { return total_; }

  private:
    struct Caller {
        std::string name;
        std::size_t before = 0; // unread at most, of what was sent before the look that is under way
        std::size_t since = 0;  // sent since then
        std::size_t newest = 0;
        std::size_t refused = 0;  // since it was last seen to read
        std::size_t reported = 0; // by the bus, at the last look
        bool wanted = false;
        bool looking = false;
    };
    using Callers = std::list<Caller>; // those longest not looked at first

    void want(Caller& caller);

    UnreadLimits limits_;
    Callers callers_;
    std::unordered_map<std::string, Callers::iterator> by_name_;
    std::deque<std::string> wanted_;
    std::size_t looking_ = 0;
    std::size_t total_ = 0;
    bool given_up_ = false;
};

} // namespace p2prc::dbus
