#include "core/revision_outcome.h"

namespace p2prc {

Outcome outcome_now(std::uint32_t revision, Outcome recorded, const ProcessStatus* status) noexcept {
    if (recorded != Outcome::Pending || !status) return recorded;
    if (status->update && status->update->revision == revision) {
        switch (status->update->phase) {
        case UpdatePhase::Good:
            return Outcome::Good;
        case UpdatePhase::RolledBack:
            return Outcome::RolledBack;
        case UpdatePhase::Failed:
            return Outcome::Failed;
        case UpdatePhase::Replacing:
        case UpdatePhase::Confirming:
        case UpdatePhase::RollingBack:
            return Outcome::Pending;
        }
    }
    return status->good == revision ? Outcome::Good : Outcome::Pending;
}

} // namespace p2prc
