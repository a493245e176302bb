#include "ports/bind_program.h"

#include <cstddef>

namespace p2prc::ports {

namespace {

constexpr std::int32_t deny = 0;
constexpr std::int32_t allow = 1;

constexpr bpf_insn instruction(int code, int destination, int source, int offset, std::int32_t immediate) {
    bpf_insn result{};
    result.code = static_cast<__u8>(code);
    result.dst_reg = static_cast<__u8>(destination) & 0xfU;
    result.src_reg = static_cast<__u8>(source) & 0xfU;
    result.off = static_cast<__s16>(offset);
    result.imm = immediate;
    return result;
}

constexpr bpf_insn set_result(std::int32_t value) {
    return instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value);
}

} // namespace

std::vector<bpf_insn> bind_program(const BindRule& rule) {
    std::vector<bpf_insn> program;
    // Registers by linux/bpf.h: 1 is the context, a bpf_sock_addr, 0 the result.
    program.push_back(
        instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(bpf_sock_addr, user_port), 0));
    // user_port is in network order.
    program.push_back(instruction(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_2, 0, 0, 16));
    program.push_back(set_result(allow));
    // Each comparison that holds jumps to the exit; offsets count from the next instruction.
    struct Comparison {
        int operation;
        std::int32_t port;
    };
    std::vector<Comparison> allowed{{BPF_JEQ, 0}};
    for (const auto port : rule.ports)
        allowed.push_back({BPF_JEQ, port});
    if (rule.free_ports) allowed.push_back({BPF_JGE, first_free_port});
    for (std::size_t left = allowed.size(); const auto& [operation, port] : allowed)
        program.push_back(
            instruction(BPF_JMP | operation | BPF_K, BPF_REG_2, 0, static_cast<int>(left--), port));
    program.push_back(set_result(deny));
    program.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    return program;
}

} // namespace p2prc::ports
