// What makes a flow connection's bytes authentic: AES-128-GCM under keys of the session's TLS exporter.
//
// Three keys, one for each purpose: the preface's MAC (an encryption of nothing), the edge's header, the
// connector's answer. Each seals one message per counter, so the counter is the nonce (RFC 5116 section 3.2).
// The claim of the preface and the purpose are associated data: nothing can be moved to another session,
// counter or direction.
#pragma once

#include "tunnel/answer.h"
#include "tunnel/preface.h"

#include <memory>
#include <optional>

struct evp_cipher_ctx_st;

namespace p2prc::tunnel {

// RFC 8446 section 7.5, with an empty context.
inline constexpr std::string_view exporter_label = "EXPORTER-p2prc-tunnel-1";
inline constexpr std::size_t exporter_size = 48;

inline constexpr std::size_t seal_overhead = 16;
inline constexpr std::size_t sealed_answer_size = answer_size + seal_overhead;

class FlowSeals {
  public:
    // `exported`: exporter_size bytes. One of each session, at both of its ends.
    explicit FlowSeals(ByteView exported);
    ~FlowSeals();
    FlowSeals(FlowSeals&&) noexcept;
    FlowSeals& operator=(FlowSeals&&) noexcept;

    std::array<std::uint8_t, preface_size> seal_preface(const FlowId& flow);
    bool verify_preface(const FlowId& flow, ByteView preface);

    // A frame: 2 bytes length of what follows, then the sealed header.
    Bytes seal_header(const FlowId& flow, ByteView header);
    // `sealed`: the frame without its length.
    std::optional<Bytes> open_header(const FlowId& flow, ByteView sealed);

    std::array<std::uint8_t, sealed_answer_size> seal_answer(const FlowId& flow, Answer answer);
    std::optional<Answer> open_answer(const FlowId& flow, ByteView sealed);

  private:
    struct FreeContext {
        void operator()(evp_cipher_ctx_st* context) const noexcept;
    };
    using Context = std::unique_ptr<evp_cipher_ctx_st, FreeContext>;
    enum Purpose : std::uint8_t { OfPreface = 0, OfHeader = 1, OfAnswer = 2 };

    void seal(Purpose purpose, const FlowId& flow, ByteView text, std::uint8_t* out);
    bool open(Purpose purpose, const FlowId& flow, ByteView sealed, std::uint8_t* out);

    // Contexts with the key schedule done: setting a nonce is all that a flow costs.
    std::array<Context, 3> sealers_;
    std::array<Context, 3> openers_;
};

} // namespace p2prc::tunnel
