#include "tunnel/answer.h"

namespace p2prc::tunnel {

std::string_view answer_text(Answer answer) noexcept {
    switch (answer) {
    case Answer::Accepted:
        return "accepted";
    case Answer::BadHeader:
        return "the flow header could not be read";
    case Answer::UnknownMapping:
        return "the node does not serve this mapping";
    case Answer::NeedsSealing:
        return "the mapping may not travel unsealed";
    case Answer::NotSupported:
        return "not in this version";
    case Answer::DialRefused:
        return "nothing listens on the mapping's port";
    case Answer::DialTimeout:
        return "the mapping's port did not answer in time";
    case Answer::NoCertificate:
        return "the node has no certificate for the name yet";
    case Answer::Overloaded:
        return "the node is out of descriptors or memory";
    }
    return "an answer of a later version";
}

bool worth_another_try(Answer answer) noexcept {
    return answer == Answer::BadHeader;
}

std::array<std::uint8_t, answer_size> encode_answer(Answer answer) noexcept {
    return {static_cast<std::uint8_t>(answer), 0, 0, 0};
}

std::optional<Answer> parse_answer(std::span<const std::uint8_t> bytes) noexcept {
    if (bytes.size() != answer_size) return std::nullopt;
    if (bytes[0] > static_cast<std::uint8_t>(Answer::Overloaded)) return Answer::NotSupported;
    return static_cast<Answer>(bytes[0]);
}

} // namespace p2prc::tunnel
