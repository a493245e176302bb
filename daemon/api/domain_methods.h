// Methods about domains and DNS zones: of org.p2prc1.Manager, and of each domain's own object.
#pragma once

#include "daemon/api/method.h"
#include "daemon/api/services.h"

namespace p2prc::daemon {

class DomainMethods {
  public:
    explicit DomainMethods(const Services& services) : services_(services) {}
    static std::span<const MethodRow<DomainMethods>> rows() noexcept;

  private:
    Reply map(Request request);
    Reply unmap(Request request);
    Reply list(Request request);
    Reply object(Request request);
    Reply zones(Request request);
    Reply records(Request request);

    const Services& services_;
};

} // namespace p2prc::daemon
