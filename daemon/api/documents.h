// Processes, nodes and domains as clients see them: documents with the keys of core/fields.h, nulls included.
#pragma once

#include "daemon/api/view.h"

namespace p2prc::daemon {

Json process_document(const View& view, const ProcessRecord& record);
Json node_document(const View& view, const NodeRecord& record);
Json domain_document(const View& view, const DomainRecord& record);

Json process_documents(const View& view);
Json node_documents(const View& view);
Json domain_documents(const View& view);

} // namespace p2prc::daemon
