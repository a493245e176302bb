#include "process/logged_end.h"

#include <charconv>
#include <csignal>
#include <string_view>

namespace p2prc::process {
namespace {

// MESSAGE_IDs of systemd 252 (sd-messages.h). Every run ends with "succeeded" or "failed"; a main process
// that failed has an exit before that; "stopped" comes last, from a stop job that is done.
constexpr std::string_view unit_stopped = "9d1aaa27d60140bd96365438aad20286";
constexpr std::string_view unit_succeeded = "7ad2d189f7e94e70a38c781354912448";
constexpr std::string_view unit_failed = "d9b373ed55a64feb8242e02dbe79a49c";
constexpr std::string_view process_exited = "98e322203f7a4ed290d09fe03c09fe15";

int code_from_name(std::string_view name) noexcept {
    if (name == "exited") return CLD_EXITED;
    if (name == "killed") return CLD_KILLED;
    if (name == "dumped") return CLD_DUMPED;
    return 0;
}

} // namespace

bool LoggedEndReader::add(const UnitEntry& entry) {
    if (!running_.empty() && entry.invocation == running_) {
        reached_ = true;
        return true;
    }
    if (entry.message_id == unit_stopped && !end_) stopped_ = true;
    if (entry.message_id == unit_succeeded || entry.message_id == unit_failed) {
        if (end_) return false; // of the run before
        end_ = LoggedEnd{entry.invocation, {}, stopped_, entry.at};
        if (entry.message_id == unit_failed) {
            end_->result.result = entry.unit_result;
            return true;
        }
        // An exit that counts as success is logged for debugging only.
        end_->result.code = CLD_EXITED;
        return false;
    }
    if (entry.message_id != process_exited || entry.command != "ExecStart" || !end_) return true;
    if (entry.invocation != end_->invocation) return false;
    end_->result.code = code_from_name(entry.exit_code);
    std::from_chars(entry.exit_status.data(), entry.exit_status.data() + entry.exit_status.size(),
                    end_->result.status);
    return false;
}

std::optional<LoggedEnd> LoggedEndReader::end() const {
    if (!end_ && stopped_) return LoggedEnd{.stopped = true};
    return end_;
}

} // namespace p2prc::process
