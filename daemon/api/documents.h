// Processes, nodes and domains as clients see them: documents with the keys of core/fields.h, nulls included.
#pragma once

#include "daemon/api/view.h"

namespace p2prc::daemon {

Json process_document(const View& view, const ProcessRecord& record);
Json node_document(const View& view, const NodeRecord& record);
Json domain_document(const View& view, const DomainRecord& record);

// As a row of a list, and as an object on the bus: all of them go into one message. What a program, another
// node or a process file may make long is cut there, and a stop comes without its log.
Json process_row(const View& view, const ProcessRecord& record);
Json node_row(const View& view, const NodeRecord& record);
Json domain_row(const View& view, const DomainRecord& record);

Json process_rows(const View& view);
Json node_rows(const View& view);
Json domain_rows(const View& view);

} // namespace p2prc::daemon
