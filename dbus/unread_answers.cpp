#include "dbus/unread_answers.h"

#include <algorithm>

namespace p2prc::dbus {

UnreadAnswers::Verdict UnreadAnswers::verdict(const std::string& caller) {
    if (given_up_) return Verdict::Serve;
    const auto found = by_name_.find(caller);
    if (found == by_name_.end()) return Verdict::Serve;
    Caller& its = *found->second;
    const std::size_t unread = its.before + its.since;
    const std::size_t share = std::max(limits_.small, (limits_.all - std::min(limits_.all, total_)) / 4);
    const bool served = unread - std::min(unread, its.newest) <= share;
    if (!served || unread >= limits_.look_from) want(its);
    if (served) return Verdict::Serve;
    return its.refused < limits_.refusals ? Verdict::Refuse : Verdict::Ignore;
}

bool UnreadAnswers::fits(std::size_t bytes) const noexcept {
    return given_up_ || bytes <= limits_.small || total_ + bytes <= limits_.all;
}

void UnreadAnswers::sent(const std::string& caller, std::size_t bytes) {
    if (given_up_) return;
    auto found = by_name_.find(caller);
    if (found == by_name_.end())
        found = by_name_.emplace(caller, callers_.insert(callers_.end(), Caller{.name = caller})).first;
    Caller& its = *found->second;
    (its.looking ? its.since : its.before) += bytes;
    its.newest = bytes;
    total_ += bytes;
    if (its.before + its.since >= limits_.look_from) want(its);
    if (callers_.size() <= limits_.callers && total_ <= limits_.all / 2) return;
    // Two for each answer, so that those who have read or gone are forgotten faster than others come.
    std::size_t more = 2;
    for (Caller& each : callers_) {
        if (more == 0) break;
        if (each.wanted || each.looking) continue;
        want(each);
        --more;
    }
}

void UnreadAnswers::refused(const std::string& caller, std::size_t bytes) {
    sent(caller, bytes);
    if (const auto found = by_name_.find(caller); found != by_name_.end()) found->second->refused += bytes;
}

void UnreadAnswers::want(Caller& caller) {
    if (caller.wanted || caller.looking) return;
    caller.wanted = true;
    wanted_.push_back(caller.name);
}

std::optional<std::string> UnreadAnswers::next_look() {
    if (given_up_ || wanted_.empty() || looking_ >= limits_.looks) return std::nullopt;
    std::string name = std::move(wanted_.front());
    wanted_.pop_front();
    Caller& caller = *by_name_.at(name);
    caller.wanted = false;
    caller.looking = true;
    ++looking_;
    return name;
}

void UnreadAnswers::looked(const std::string& caller, std::size_t unread) {
    const auto found = by_name_.find(caller);
    if (found == by_name_.end() || !found->second->looking) return;
    Caller& its = *found->second;
    its.looking = false;
    --looking_;
    // The bus counts what others sent as well.
    const std::size_t kept = std::min(its.before, unread);
    if (unread < its.reported) its.refused = 0; // it reads
    its.reported = unread;
    total_ -= its.before - kept;
    its.before = kept + its.since;
    its.since = 0;
    if (its.before == 0) {
        callers_.erase(found->second);
        by_name_.erase(found);
        return;
    }
    callers_.splice(callers_.end(), callers_, found->second);
}

void UnreadAnswers::give_up() {
    given_up_ = true;
    wanted_.clear();
    by_name_.clear();
    callers_.clear();
    total_ = 0;
}

} // namespace p2prc::dbus
