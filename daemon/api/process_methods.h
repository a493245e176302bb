// Methods about processes: of org.p2prc1.Manager, and of each process's own object.
#pragma once

#include "daemon/api/method.h"
#include "daemon/api/services.h"

namespace p2prc::daemon {

class ProcessMethods {
  public:
    explicit ProcessMethods(const Services& services) : services_(services) {}
    static std::span<const MethodRow<ProcessMethods>> rows() noexcept;

  private:
    Reply spin(Request request);
    Reply roll_back(Request request);
    Reply redeploy(Request request);
    Reply clean_deployments(Request request);
    Reply history(Request request);
    Reply explain_placement(Request request);
    Reply explain_spin(Request request);
    template <Verb verb>
    Reply act(Request request);
    Reply pause(Request request);
    Reply resume(Request request);
    Reply pause_owner(Request request);
    Reply resume_owner(Request request);
    Reply owners(Request request);
    Reply limit_owner(Request request);
    Reply information(Request request);
    Reply describe(Request request);
    Reply list(Request request);
    Reply usage(Request request);
    Reply object(Request request);
    Reply logs(Request request);

    const Services& services_;
};

} // namespace p2prc::daemon
