// pkttyagent(1): asks for a password at the terminal, where the person has no other polkit agent.
#pragma once

#include <sys/types.h>

namespace p2prc::cli {

class PasswordAgent {
  public:
    PasswordAgent() = default;
    ~PasswordAgent();
    PasswordAgent(const PasswordAgent&) = delete;
    PasswordAgent& operator=(const PasswordAgent&) = delete;

    // Once, and only for somebody at a terminal who is not root. Returns when it is registered, so that
    // polkit finds it for the next call. Without the program polkit refuses, as it does where nobody can be
    // asked.
    void start();

  private:
    bool tried_ = false;
    pid_t child_ = -1;
};

} // namespace p2prc::cli
