// Every bus name, path and interface of ours, in one place.
#pragma once

namespace p2prc::dbus::names {

inline constexpr const char* service = "org.p2prc1";
inline constexpr const char* root_path = "/org/p2prc1";
inline constexpr const char* manager_interface = "org.p2prc1.Manager";
inline constexpr const char* process_prefix = "/org/p2prc1/process";
inline constexpr const char* process_interface = "org.p2prc1.Process";
inline constexpr const char* node_prefix = "/org/p2prc1/node";
inline constexpr const char* node_interface = "org.p2prc1.Node";
inline constexpr const char* domain_prefix = "/org/p2prc1/domain";
inline constexpr const char* domain_interface = "org.p2prc1.Domain";
// For edge and connector alone, so outside of the tree whose objects are listed to everybody.
inline constexpr const char* edge_path = "/org/p2prc1_internal/edge";
inline constexpr const char* edge_interface = "org.p2prc1.Edge";
inline constexpr const char* connector_path = "/org/p2prc1_internal/connector";
inline constexpr const char* connector_interface = "org.p2prc1.Connector";
// Where the version before has them: during an upgrade one side may still be of that version.
inline constexpr const char* former_edge_path = "/org/p2prc1/edge";
inline constexpr const char* former_connector_path = "/org/p2prc1/connector";

} // namespace p2prc::dbus::names
