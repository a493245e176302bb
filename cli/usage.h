// What is said about a command line that cannot be parsed: the word that is wrong, and what may have been
// meant.
#pragma once

#include "cli/verbs.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace p2prc::cli {

// Prints what is wrong with `words`, or the help or version that they ask for. Returns the exit status.
int report_usage(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words,
                 const Context& context);

// The same of what only the command itself can tell to be wrong with its arguments.
int report_usage(const std::string& message, const std::string& hint, const Context& context);

// `p2prc help nodes rm` becomes `p2prc nodes rm --help`.
void turn_help_around(const CLI::App& app, std::vector<std::string>& words);

// How --help prints options: with the name of their value, "--node NODE". Whether a positional may be left
// out is in the line of usage.
std::shared_ptr<CLI::FormatterBase> help_formatter();

// A whole number between two others.
CLI::Validator number_between(long long least, long long most);

// A time such as 30s, and not longer than `most` seconds.
CLI::Validator time_up_to(std::uint64_t most);

// Takes the domain out of a web address, as `spin` prints it: https://web.home.example/.
CLI::Validator url_as_domain();

// One of `values`. Those of `later` are accepted and not offered: the command says that they are not in this
// version.
CLI::Validator one_of(std::vector<std::string> values, std::vector<std::string> later = {});

} // namespace p2prc::cli
