// Which keys of the replicated table a node writes itself, and their forms.
#pragma once

#include "daemon/registry/draft.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon::rules {

class OwnedKeys {
  public:
    explicit OwnedKeys(const std::string& node);

    // Stored as it is. What is `folded` is not stored but acted upon.
    bool stored(std::string_view key) const;
    bool folded(std::string_view key) const { return key.starts_with(local_); }
    bool is_status(std::string_view key) const { return key.starts_with(status_); }
    bool is_offer(std::string_view key) const { return key.starts_with(offers_); }
    // That of a process ends with its id, that of a domain with its normal form.
    Result<void> check_form(std::string_view key) const;

    // All that is stored of the node is below one of these, or is one of `single`.
    std::vector<std::string> prefixes() const { return {status_, certificates_, serving_, offers_}; }
    std::vector<std::string> single() const { return {info_, tunnel_, edge_}; }
    // The keys that there are.
    std::vector<std::string> present(const Draft& draft) const;

  private:
    std::string status_, certificates_, serving_, offers_, local_, info_, tunnel_, edge_;
};

// The number that a key ends with, as it is written: without zeros in front.
std::optional<std::uint32_t> id_at_end(std::string_view key);

// Takes away all that the node says of itself, and its liveness.
void erase_owned(Draft& draft, const std::string& node);

} // namespace p2prc::daemon::rules
