#include "core/local_action.h"

#include "core/json_members.h"

namespace p2prc {
namespace {

constexpr const char* folded_member = "local_sequence"; // of a process's record

} // namespace

nlohmann::json to_json(const LocalAction& action) {
    return {{"id", action.id},
            {"action", action.action},
            {"sequence", action.sequence},
            {"by", action.by},
            {"at", action.at}};
}

LocalAction local_action_from_json(const nlohmann::json& document) {
    return {.id = json::member<std::uint32_t>(document, "id"),
            .action = json::member<std::string>(document, "action"),
            .sequence = json::member<std::uint64_t>(document, "sequence"),
            .by = json::member<std::string>(document, "by"),
            .at = json::member<std::string>(document, "at")};
}

std::uint64_t folded_sequence(const ProcessRecord& record) {
    return json::member<std::uint64_t>(record.unknown, folded_member);
}

void set_folded_sequence(ProcessRecord& record, std::uint64_t sequence) {
    record.unknown[folded_member] = sequence;
}

bool taken_in(const ProcessRecord& record, const LocalAction& action) {
    return action.sequence <= folded_sequence(record);
}

std::uint64_t change_with(const ProcessRecord& record, const LocalAction& action) {
    return record.change + (action.sequence - folded_sequence(record));
}

} // namespace p2prc
