// The rules of each method: from a request to a result and writes in the draft, or a refusal that names the
// holder.
#pragma once

#include "core/process_status.h"
#include "core/remote_spin.h"
#include "registry/placement.h"
#include "registry/request.h"

#include <optional>
#include <set>
#include <span>
#include <string_view>

namespace p2prc::registry::rules {

using Rule = Result<Json> (*)(Request&);

Result<Json> spin(Request& request);
// What spin() would do; its writes are not committed (registry/methods.h).
Result<Json> explain(Request& request);
Result<Json> stop(Request& request);
Result<Json> start(Request& request);
Result<Json> restart(Request& request);
Result<Json> describe_process(Request& request);
Result<Json> kill(Request& request);
Result<Json> roll_back(Request& request);
Result<Json> redeploy(Request& request);

Result<Json> map_domain(Request& request);
Result<Json> unmap_domain(Request& request);

Result<Json> init(Request& request);
Result<Json> export_fleet(Request& request);
Result<Json> import_fleet(Request& request);
Result<Json> invite(Request& request);
Result<Json> sweep(Request& request);

Result<Json> join(Request& request);
Result<Json> leave(Request& request);
Result<Json> remove_node(Request& request);
Result<Json> register_key(Request& request);
Result<Json> label_node(Request& request);
Result<Json> describe_node(Request& request);
Result<Json> drain_node(Request& request);
Result<Json> resume_node(Request& request);
Result<Json> live(Request& request);

Result<Json> publish_challenge(Request& request);
Result<Json> remove_challenge(Request& request);
Result<Json> sign_certificate(Request& request);

Result<Json> put_status(Request& request);
Result<Json> update_status(Request& request);

// --- shared between the rules ---

// The node that the request is about, for one that may say how it is to be used: itself, or an owner.
Result<NodeRecord> described_node(const Request& request);

// All nodes as they are judged for `spec`, which is on node `holder` already if that is not empty.
std::vector<Candidate> candidates_for(const Request& request, const ProcessSpec& spec,
                                      const std::string& holder);

// The node that a process is spun on: `wanted`; the best by the [placement] of its file; or the caller's.
Result<std::string> choose_node(const Request& request, const ProcessSpec& spec, const std::string& wanted);

// What the process's node says of it; nothing: it has said nothing yet.
std::optional<ProcessStatus> reported(const Draft& draft, const ProcessRecord& process);

// Another node for a process that is somewhere, none of those on which it has failed. NoSuitableNode says why
// there is none.
Result<std::string> other_node(const Request& request, const ProcessRecord& process,
                               std::span<const std::string> failed_on);
// Lets the process run on `node` from now on, in the next epoch.
Result<void> move_to(Request& request, ProcessRecord& process, const std::string& node,
                     const std::string& by);
// Moves the process where its node asks for that with its status, by a remedy. True: it is another node's.
bool take_in_remedy(Request& request, ProcessRecord& process, const ProcessStatus& status);

enum class Action { Stop, Start, Restart };
// Writes the change into the draft; one that changes nothing is success.
void change(Draft& draft, ProcessRecord& process, Action action, const std::string& by);
// What the node reports in /info/<node>; Sandboxed while it has said nothing.
RemoteSpin remote_policy_of(const Request& request, const std::string& node);
// Whether the caller may have `spec` run on `node`, as far as the node's owner has said.
Result<void> check_remote_policy(const Request& request, const std::string& node, const ProcessSpec& spec);
// Whether the process may have the domain of its file.
Result<void> check_file_domain(const Request& request, const ProcessRecord& process, bool owner);
// Gives `existing` another specification, as its next revision, with what was made in that deployment
// (core/revision.h); nothing: it is deployed anew. `rollback_of`: the earlier revision that it is again.
Result<Json> update(Request& request, ProcessRecord existing, ProcessSpec spec,
                    std::optional<std::uint32_t> deployment, std::uint32_t rollback_of = 0);
// Takes in what its node says of the update that the record is about; false: nothing that changes it.
bool take_in_update(Request& request, ProcessRecord& process, const ProcessStatus& status);

// Takes the process out, leaves a tombstone, and lets go of its domains; returns those that stay, waiting.
std::vector<std::string> forget(Draft& draft, const ProcessRecord& process, const std::string& by,
                                const std::string& at);

// The port that process `name` gets on `node`: none, the fixed one, or one that is chosen. PortTaken names
// the holder. One that is chosen is none of `in_use`: what else is listened at there, as far as it is known.
Result<std::optional<std::uint16_t>> bind_port(const Draft& draft, std::string_view node,
                                               std::string_view name, std::optional<std::uint16_t> wanted,
                                               bool owner, const std::set<std::uint16_t>& in_use = {});

// What `node` reports of its own ports, and says now where it asks for itself. It steers the choice of its
// own ports alone.
std::set<std::uint16_t> ports_in_use(const Request& request, const std::string& node);

// Whether process `name` may have further ports `ports` on `node`: PortTaken names the holder.
Result<void> check_further_ports(const Draft& draft, std::string_view node, std::string_view name,
                                 std::span<const std::uint16_t> ports, bool owner);

// Whether `node` may have a name of this form at all.
Result<void> check_domain_rights(const Draft& draft, std::string_view domain, std::string_view node,
                                 bool owner);
// Whether a certificate for the domain can be had here, where the node is to terminate TLS. `otherwise` is
// what to do when it cannot.
Result<void> check_certifiable(const Draft& draft, std::string_view domain, const std::string& otherwise);
// DomainTaken when the domain is held for another process.
Result<void> check_domain_free(const Draft& draft, std::string_view domain, std::string_view process);
// The same for a process that is to serve it at once: a domain that waits does so for a process of its maker,
// of an owner, or of the node that it led to before.
Result<void> check_domain_serving(const Draft& draft, const std::string& domain, const ProcessRecord& process,
                                  bool owner);
// Writes a new mapping for a domain that is free, or the one that waits for `process` already.
Result<DomainRecord> claim_domain(Draft& draft, const std::string& domain, const std::string& process,
                                  bool from_file, const std::string& by);
// Takes into a new mapping what counts of one that a node brings: where TLS is terminated, and the port that
// was asked for.
void take_over(DomainRecord& mapping, const DomainRecord& brought);
// Lets the mappings that wait for the process's name lead to it, where both sides may: the process have the
// mapping's visitors, and the mapping's maker publish the process. The others go on waiting.
void attach_domains(Draft& draft, const ProcessRecord& process, bool owner);
// Unmaps the domain of its process file, where it has another one now or none; not that of the revision that
// an update may go back to.
void release_file_domain(Draft& draft, const ProcessRecord& process);
// Lets the mappings that lead to the process lead to the node and the port that it has now.
void move_domains(Draft& draft, const ProcessRecord& process);
// Unmaps the domain of its process file; domains that were mapped wait. Returns those that wait.
std::vector<std::string> release_domains(Draft& draft, std::string_view process);
void erase_challenges(Draft& draft, std::string_view domain);

// What a node brings from another registry, of which nothing but the members is taken over that this version
// knows: others would count as nobody's share, and what the other registry has noted beside them means
// nothing here.
Result<ProcessRecord> read_brought_process(const Json& document);
Result<DomainRecord> read_brought_domain(const Json& document);
// Makes it the node's process or mapping here, or writes nothing.
enum class BroughtId { Never, IfFree }; // whether it keeps its id
Result<void> bring_process(Draft& draft, ProcessRecord process, const std::string& node, bool owner,
                           BroughtId keep = BroughtId::Never);
Result<void> bring_domain(Draft& draft, const DomainRecord& brought, const std::string& node, bool owner);

// The process that is offered under this id: it has no record, and its name may be another's. If several
// nodes offer one under it, which only a faulty node does: the caller's own, and Conflict for any other
// caller.
Result<std::optional<ProcessRecord>> offered(const Request& request, std::string_view id);

// The node, another than `node`, on which the process with this id was killed and is still to end; or empty.
std::string killed_elsewhere(const Draft& draft, std::uint32_t id, std::string_view node);

// Erases what the process's node offers of it, and what was refused of that.
void drop_offers(Draft& draft, const ProcessRecord& process);

// Takes in what the calling node has and has offered. What is refused stays on offer, with the reason.
void settle_offers(Request& request);

// Takes a node and all that is its own out of the fleet; its processes go with it and are not killed.
void drop_node(Draft& draft, const NodeRecord& node);
std::vector<std::string> node_names(const Draft& draft);

} // namespace p2prc::registry::rules
