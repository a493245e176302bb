// One pumped connection: two sockets and the bytes in flight between them.
#pragma once

#include "net/fd.h"
#include "net/one_shot_timer.h"
#include "tunnel/pipe_pool.h"
#include "tunnel/pumps.h"

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace p2prc::tunnel {

class Pump;

// Bytes that one copy moves; a read that fills the buffer suggests bulk data.
inline constexpr std::size_t scratch_bytes = 32 * 1024;

// What the connections of one Pumps share.
struct PumpSet : std::enable_shared_from_this<PumpSet> {
    // Both where Pump is complete: they destroy pumps.
    PumpSet(Poller& a_poller, const PumpOptions& some_options);
    ~PumpSet();

    // Checks timeouts after a tick, and keeps doing so as long as there are connections.
    void arm();
    void sweep();
    void add(std::unique_ptr<Pump> pump);
    std::unique_ptr<Pump> remove(Pump& pump);

    Poller& poller;
    PumpOptions options;
    PipePool pool;
    net::OneShotTimer timer;
    std::chrono::milliseconds tick;
    std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now(); // as of the last tick
    bool look = false; // this sweep asks the kernel about the peers of quiet connections
    std::chrono::steady_clock::time_point next_look;
    std::vector<std::unique_ptr<Pump>> pumps;
    std::uint64_t bytes = 0;
    // Shared by all: it holds nothing between calls.
    std::array<char, scratch_bytes> scratch;
};

// Side 0 is a, side 1 is b; direction d carries from side d to side 1 - d.
class Pump final : public PollHandler {
  public:
    using Clock = std::chrono::steady_clock;

    Pump(PumpSet& shared, PumpSockets sockets, Pumps::Done done);
    void on_ready(unsigned side, std::uint32_t events) override;
    void on_again() override;
    // Registers both sockets, or takes over those that are registered; false where the kernel refuses.
    bool watch(bool a_polled, bool b_polled);
    // Checks the timeouts: ends the connection if it has been quiet for too long.
    void check();
    // Leaves the set and calls `done`.
    void finish(PumpEnd end);
    // Leaves the set without calling `done`.
    void close();
    // Both ends get a reset.
    void abort(PumpEnd end);

    // When the last byte was moved, exact to a tick.
    Clock::time_point active() const noexcept { return active_; }
    std::uint32_t group() const noexcept { return group_; }

    std::size_t index = 0; // in PumpSet::pumps

  private:
    struct Side {
        net::UniqueFd fd;
        bool readable = false;
        bool writable = false;
        bool ending = false; // its FIN or reset has come: a short read does not mean that nothing is left
        bool broken = false; // writing to it failed: its end is a reset, whatever read says
    };
    struct Pending {
        std::string bytes;
        std::size_t offset = 0;
    };
    struct Way {
        std::uint64_t total = 0;
        std::unique_ptr<Pending> pending; // is sent before what is in the pipe
        std::unique_ptr<Pipe> pipe;
        std::size_t in_pipe = 0;
        std::size_t burst = 0; // bytes since the source was last found empty
        bool bulk = false;     // reads fill the buffer: splice
        bool no_splice = false;
        bool eof = false;       // the source has ended
        bool was_reset = false; // by a reset
        bool done = false;      // and the sink has been told
    };

    void set_head(unsigned direction, std::string head);
    static void make_abortive(Side& side);
    void drop(Way& way);
    void moved(Way& way, std::size_t bytes);

    // Moves bytes in one direction until the source is empty, the sink is full, or the share is used up.
    void move(unsigned direction);
    // The source is empty: hold no buffer and no pipe until it is readable again.
    void rest(Way& way);
    // Once the source has ended, the FIN follows in this iteration, or as soon as the sink takes more: the
    // last bytes and the FIN share a packet.
    static int send_flags(const Side& source) noexcept;
    // Sends what is buffered. Returns whether nothing is left, so that the direction can continue.
    bool flush(unsigned direction);
    // The pipe is empty when this is called, so EAGAIN means that the socket is, not that the pipe is full.
    void fill_pipe(unsigned direction);
    void copy(unsigned direction);
    // A read returned nothing: the source is empty for now, has ended, or has failed.
    void source_stopped(unsigned direction, ssize_t got);
    // The kernel has accepted all that the source sent: now end the sink's stream.
    void end_way(unsigned direction);
    // The sink is gone. What it sent before is relayed first.
    void sink_failed(unsigned direction);
    // Whether something that was relayed has not been acknowledged yet.
    bool unread() const noexcept;
    // Passes a reset on to `side`, after what was relayed to it.
    void reset(unsigned side);

    PumpSet& shared_;
    std::array<Side, 2> sides_;
    std::array<Way, 2> ways_;
    Pumps::Done done_;
    Clock::time_point active_;
    bool closed_ = false;
    bool resetting_ = false;
    bool fin_sent_ = false; // to the victim
    std::uint8_t victim_ = 0;
    std::uint32_t group_;
    TrafficShare traffic_;
};

} // namespace p2prc::tunnel
