#include "dbus/codec.h"
#include "process/container_unit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace p2prc::process {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

const std::string image(64, 'b');

ProcessRecord wiki() {
    ProcessRecord record;
    record.id = 7;
    record.name = record.spec.name = "wiki";
    record.port = record.spec.port = 8500;
    record.digest = std::string(64, 'a');
    return record;
}

Deployed deployed() {
    return {.digest = std::string(64, 'c'),
            .directory = "/var/lib/p2prc-deploy/wiki/c",
            .result = {.container = image,
                       .volumes = {"data", "var/lib/wiki"},
                       .command = {"/bin/wiki", "a \"b\""},
                       .environment = {{"A", "image"}, {"B", "image"}}}};
}

json value(const TransientUnit& unit, std::string_view name) {
    EXPECT_LE(std::ranges::count(unit.properties, name, &UnitProperty::name), 1) << name;
    const auto found = std::ranges::find(unit.properties, name, &UnitProperty::name);
    return found == unit.properties.end() ? json() : found->value;
}

TEST(ContainerUnit, PodmanRunsItInTheControlGroupOfTheUnit) {
    auto record = wiki();
    record.spec.run.environment["A"] = "$file";
    record.spec.limits.memory_bytes = 1U << 20U;
    const auto unit = container_unit(record, deployed(), Turn::First, "home1", Origin::Remote);
    ASSERT_TRUE(unit) << unit.error().message;
    for (const auto& property : unit->properties)
        EXPECT_TRUE(dbus::fits(property.signature, property.value, {.exact = true})) << property.name;
    EXPECT_EQ(value(*unit, "User"), "root");
    EXPECT_EQ(value(*unit, "DynamicUser"), json());
    EXPECT_EQ(value(*unit, "Type"), "notify");
    EXPECT_TRUE(waits_for_ready(*unit));
    EXPECT_EQ(value(*unit, "NotifyAccess"), "all");
    EXPECT_EQ(value(*unit, "MemoryMax"), 1U << 20U);
    EXPECT_EQ(value(*unit, "SocketBindAllow"), json::parse("[[0, 0, 1, 8500]]"));
    EXPECT_EQ(value(*unit, "SuccessExitStatus"), json::parse("[[129, 130, 141, 143], []]"));
    EXPECT_EQ(value(*unit, "ProtectSystem"), "full");
    EXPECT_EQ(value(*unit, "RestrictSUIDSGID"), json());
    const auto& text = unit->drop_in;
    for (const auto* part :
         {"ExecStart=:\"", "/p2prc-podman\" \"run\" \"--name=p2prc-wiki\"", "\"--cgroups=disabled\"",
          "\"--pull=never\"", "\"--volume=/var/lib/p2prc-data/wiki:/var/lib/p2prc-data/wiki\"",
          "\"--volume=/var/lib/p2prc-data/wiki/var/lib/wiki:/var/lib/wiki\"", "\"--env=A=$file\"",
          "\"--env=B=image\"", "\"--env=PORT=8500\"", "\"--env=STATE_DIRECTORY=/var/lib/p2prc-data/wiki\"",
          R"("--entrypoint=[\"/bin/wiki\",\"a \\\"b\\\"\"]" ")", "ExecStop=:\"/bin/sh\"", "ExecStopPost=:\"",
          "ExecStartPre=:\"/bin/sh\"", "\"volumes\" \"/var/lib/p2prc-data/wiki\" \"data\" \"var/lib/wiki\""})
        EXPECT_THAT(text, HasSubstr(part));
    EXPECT_THAT(text, HasSubstr("\"" + image + "\"\n"));
    EXPECT_EQ(value(*unit, "Environment"), json::array({"PORT=8500"})) << "podman itself has none of it";
}

TEST(ContainerUnit, TheFileWinsAndItsCredentialsAreShown) {
    auto record = wiki();
    record.spec.run.command = {"echo $A"};
    record.spec.run.shell = true;
    record.spec.run.data = false;
    record.spec.run.credentials = {{"key", "/etc/key"}};
    auto result = deployed();
    result.result.volumes.clear();
    const auto unit = container_unit(record, result, Turn::Second, "home1", Origin::Local);
    ASSERT_TRUE(unit) << unit.error().message;
    EXPECT_THAT(unit->drop_in, HasSubstr(R"("--entrypoint=[\"/bin/sh\",\"-c\",\"echo $A\"]")"));
    EXPECT_THAT(unit->drop_in, HasSubstr("\"--name=p2prc-wiki_2\""));
    EXPECT_THAT(unit->drop_in,
                HasSubstr("\"--volume=/run/credentials/p2prc-wiki_2.service:/run/p2prc-credentials:ro\""));
    EXPECT_THAT(unit->drop_in, Not(HasSubstr("p2prc-data")));
    EXPECT_EQ(value(*unit, "LoadCredential"), json::parse(R"([["key", "/etc/key"]])"));
}

TEST(ContainerUnit, ProbesRunInIt) {
    auto record = wiki();
    record.spec.run.credentials = {{"key", "/etc/key"}};
    const Probe probe{.kind = Probe::Kind::Command, .command = {"pg_isready -q"}, .shell = true};
    const auto unit = container_probe_unit(record, Turn::First, Origin::Local, probe);
    ASSERT_TRUE(unit) << unit.error().message;
    EXPECT_THAT(unit->drop_in, HasSubstr(R"("exec" "p2prc-wiki" "/bin/sh" "-c" "pg_isready -q")"));
    EXPECT_EQ(value(*unit, "LoadCredential"), json());
    EXPECT_EQ(value(*unit, "User"), "root");
    EXPECT_EQ(value(*unit, "StateDirectory"), json()) << "systemd would change who owns it";
    EXPECT_EQ(value(*unit, "SocketBindAllow"), json::parse("[[0, 0, 1, 8500]]"));
}

TEST(ContainerUnit, WhatIsRemoved) {
    const auto removal = container_removal_unit("wiki");
    ASSERT_TRUE(removal) << removal.error().message;
    EXPECT_THAT(removal->drop_in, HasSubstr("\"--ignore\" \"--time\" \"0\" \"p2prc-wiki\" \"p2prc-wiki_2\""));
    EXPECT_EQ(value(*removal, "Type"), "oneshot");
    const auto cleaning = container_cleaning_unit("/var/lib/p2prc-deploy/.containers", {"1", "2"});
    ASSERT_TRUE(cleaning) << cleaning.error().message;
    EXPECT_THAT(cleaning->drop_in, HasSubstr("\"/var/lib/p2prc-deploy/.containers\" \"1 2\""));
}

TEST(ContainerUnit, ItsVolumesKeepTheirOwners) {
    const auto unit = volumes_unit(as_superuser(wiki()), Origin::Local, {"data"}, true);
    ASSERT_TRUE(unit) << unit.error().message;
    EXPECT_THAT(unit->drop_in, HasSubstr("cp -a"));
    EXPECT_EQ(value(*unit, "User"), "root");
}

} // namespace
} // namespace p2prc::process
