#include "daemon/api/domain_methods.h"

#include "core/names.h"
#include "daemon/api/documents.h"
#include "daemon/api/routes.h"

#include <array>
#include <utility>

namespace p2prc::daemon {

std::span<const MethodRow<DomainMethods>> DomainMethods::rows() noexcept {
    using permission::open;
    using Self = DomainMethods;
    static constexpr Permission change = permission::map_domain;
    static constexpr auto table = std::to_array<MethodRow<Self>>({
        {{"Manager", "MapDomain", "s domain, s process, a{sv} options", "o object", change, "map",
          "s tls, u port, s to, s via"},
         &Self::map},
        {{"Manager", "UnmapDomain", "s domain", "", change, "unmap"}, &Self::unmap},
        {{"Manager", "UnmapDomainWithOptions", "s domain, a{sv} options", "", change, "unmap"}, &Self::unmap},
        {{"Manager", "GetDomain", "s domain", "o object", open}, &Self::object},
        {{"Manager", "ListDomains", "", "aa{sv} domains", open}, &Self::list},
        {{"Manager", "ListZones", "", "aa{sv} zones", open}, &Self::zones},
        {{"Manager", "ListRecords", "s zone", "aa{sv} records", open}, &Self::records},
        {{"Domain", "Unmap", "", "", change, "unmap"}, &Self::unmap},
        {{"Domain", "UnmapWithOptions", "a{sv} options", "", change, "unmap"}, &Self::unmap},
    });
    return table;
}

Reply DomainMethods::map(Request request) {
    const auto domain = co_await services_.actions.map_domain(request.text("domain"), request.text("process"),
                                                              request.options, request.caller.user);
    if (!domain) co_return std::unexpected(domain.error());
    services_.before_path();
    co_return answer(domain_path(*domain));
}

Reply DomainMethods::unmap(Request request) {
    const auto done = co_await services_.actions.unmap_domain(request.text("domain"), request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply DomainMethods::list(Request) {
    Answer list;
    list.fields = domain_fields();
    list.rows = [this](const auto& take) {
        for (const DomainRecord& record : services_.view.domains())
            take(domain_row(services_.view, record));
    };
    co_return list;
}

Reply DomainMethods::object(Request request) {
    const auto name = normalize_domain(request.text("domain"));
    if (!name) co_return std::unexpected(name.error());
    if (!services_.view.domain(*name))
        co_return fail(ErrorCode::NotFound, "domain '" + *name + "' is not mapped",
                       "'p2prc domains' lists those that are");
    services_.before_path();
    co_return answer(domain_path(*name));
}

Reply DomainMethods::zones(Request) {
    co_return answer(zone_documents(services_.view), zone_fields());
}

Reply DomainMethods::records(Request request) {
    auto list = record_documents(services_.view, request.text("zone"), services_.reports().edge);
    if (!list) co_return std::unexpected(list.error());
    co_return answer(std::move(*list), record_fields());
}

} // namespace p2prc::daemon
