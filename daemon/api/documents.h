// Processes, nodes and domains as clients see them: documents with the keys of core/fields.h, nulls included.
#pragma once

#include "daemon/api/view.h"

#include <cstddef>

namespace p2prc::daemon {

// Where they are on the bus.
std::string process_path(std::uint32_t id);
std::string node_path(const std::string& name);
std::string domain_path(const std::string& domain);

Json process_document(const View& view, const ProcessRecord& record);
Json node_document(const View& view, const NodeRecord& record);
Json domain_document(const View& view, const DomainRecord& record);

// As a row of a list, and as an object on the bus: all of them go into one message. What a program, another
// node or a process file may make long is cut there, and a stop comes without its log.
Json process_row(const View& view, const ProcessRecord& record);
Json node_row(const View& view, const NodeRecord& record);
Json domain_row(const View& view, const DomainRecord& record);

// What people note about processes may be more than fits into a list of 10,000 of them. A row that is taken
// after the room is used up has null instead; the object on the bus, and the process's information, have it
// all.
class CustomRoom {
  public:
    void take(Json& row);

  private:
    std::size_t left_ = std::size_t{4} << 20U; // bytes, as JSON
};

// Microseconds of CLOCK_REALTIME, as on the bus; null where the text is no time.
Json timestamp(const std::string& rfc3339);
// `last_seen` of a node, and its time; `heard` is empty when nobody knows.
void set_last_seen(Json& node, const std::string& heard);

Json process_rows(const View& view);
Json node_rows(const View& view);
Json domain_rows(const View& view);

} // namespace p2prc::daemon
