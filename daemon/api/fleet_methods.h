// Methods about the fleet and its nodes: of org.p2prc1.Manager, and of each node's own object.
#pragma once

#include "daemon/api/method.h"
#include "daemon/api/services.h"

namespace p2prc::daemon {

class FleetMethods {
  public:
    explicit FleetMethods(const Services& services) : services_(services) {}
    static std::span<const MethodRow<FleetMethods>> rows() noexcept;

  private:
    Reply nodes(Request request);
    Reply object(Request request);
    Reply remove_node(Request request);
    Reply label_node(Request request);
    Reply describe_node(Request request);
    Reply drain_node(Request request);
    Reply resume_node(Request request);
    Reply init(Request request);
    Reply invite(Request request);
    Reply join(Request request);
    Reply leave(Request request);
    Reply certificate(Request request);
    Reply status(Request request);
    Reply facts(Request request);

    const Services& services_;
};

} // namespace p2prc::daemon
