#include "tunnel/seal.h"

#include "tunnel/wire.h"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

namespace p2prc::tunnel {
namespace {

constexpr std::size_t key_size = 16;
static_assert(exporter_size == 3 * key_size);

std::array<std::uint8_t, 12> nonce_of(const FlowId& flow) noexcept {
    std::array<std::uint8_t, 12> nonce{};
    put_at(&nonce[4], flow.counter);
    return nonce;
}

std::array<std::uint8_t, preface_claim_size + 1> associated(const FlowId& flow,
                                                            std::uint8_t purpose) noexcept {
    std::array<std::uint8_t, preface_claim_size + 1> out{};
    std::ranges::copy(encode_claim(flow), out.begin());
    out.back() = purpose;
    return out;
}

// Only a library without AES-GCM, or without memory, fails here.
void require(int ok) {
    if (ok != 1) throw std::runtime_error("OpenSSL cannot do AES-128-GCM");
}

} // namespace

void FlowSeals::FreeContext::operator()(evp_cipher_ctx_st* context) const noexcept {
    EVP_CIPHER_CTX_free(context);
}

FlowSeals::FlowSeals(ByteView exported) {
    if (exported.size() != exporter_size) throw std::invalid_argument("wrong size of exported key material");
    for (std::size_t i = 0; i < sealers_.size(); ++i) {
        const std::uint8_t* key = exported.data() + i * key_size;
        sealers_[i].reset(EVP_CIPHER_CTX_new());
        openers_[i].reset(EVP_CIPHER_CTX_new());
        require(EVP_EncryptInit_ex(sealers_[i].get(), EVP_aes_128_gcm(), nullptr, key, nullptr));
        require(EVP_DecryptInit_ex(openers_[i].get(), EVP_aes_128_gcm(), nullptr, key, nullptr));
    }
}

FlowSeals::~FlowSeals() = default;
FlowSeals::FlowSeals(FlowSeals&&) noexcept = default;
FlowSeals& FlowSeals::operator=(FlowSeals&&) noexcept = default;

void FlowSeals::seal(Purpose purpose, const FlowId& flow, ByteView text, std::uint8_t* out) {
    EVP_CIPHER_CTX* context = sealers_[purpose].get();
    const auto nonce = nonce_of(flow);
    const auto data = associated(flow, purpose);
    int length = 0;
    require(EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()));
    require(EVP_EncryptUpdate(context, nullptr, &length, data.data(), static_cast<int>(data.size())));
    if (!text.empty())
        require(EVP_EncryptUpdate(context, out, &length, text.data(), static_cast<int>(text.size())));
    require(EVP_EncryptFinal_ex(context, out + text.size(), &length));
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(seal_overhead),
                                out + text.size()));
}

bool FlowSeals::open(Purpose purpose, const FlowId& flow, ByteView sealed, std::uint8_t* out) {
    if (sealed.size() < seal_overhead) return false;
    EVP_CIPHER_CTX* context = openers_[purpose].get();
    const auto nonce = nonce_of(flow);
    const auto data = associated(flow, purpose);
    const ByteView text = sealed.first(sealed.size() - seal_overhead);
    std::array<std::uint8_t, seal_overhead> tag{};
    std::ranges::copy(sealed.last(seal_overhead), tag.begin());
    int length = 0;
    require(EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()));
    require(EVP_DecryptUpdate(context, nullptr, &length, data.data(), static_cast<int>(data.size())));
    if (!text.empty())
        require(EVP_DecryptUpdate(context, out, &length, text.data(), static_cast<int>(text.size())));
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()), tag.data()));
    std::uint8_t nothing[16];
    return EVP_DecryptFinal_ex(context, nothing, &length) == 1;
}

std::array<std::uint8_t, preface_size> FlowSeals::seal_preface(const FlowId& flow) {
    std::array<std::uint8_t, preface_size> out{};
    std::ranges::copy(encode_claim(flow), out.begin());
    seal(OfPreface, flow, {}, out.data() + preface_claim_size);
    return out;
}

bool FlowSeals::verify_preface(const FlowId& flow, ByteView bytes) {
    return bytes.size() == preface_size && open(OfPreface, flow, bytes.subspan(preface_claim_size), nullptr);
}

Bytes FlowSeals::seal_header(const FlowId& flow, ByteView text) {
    Bytes out(2 + text.size() + seal_overhead);
    put_at(out.data(), static_cast<std::uint16_t>(text.size() + seal_overhead));
    seal(OfHeader, flow, text, out.data() + 2);
    return out;
}

std::optional<Bytes> FlowSeals::open_header(const FlowId& flow, ByteView sealed) {
    if (sealed.size() < seal_overhead) return std::nullopt;
    Bytes out(sealed.size() - seal_overhead);
    if (!open(OfHeader, flow, sealed, out.data())) return std::nullopt;
    return out;
}

std::array<std::uint8_t, sealed_answer_size> FlowSeals::seal_answer(const FlowId& flow, Answer value) {
    std::array<std::uint8_t, sealed_answer_size> out{};
    seal(OfAnswer, flow, encode_answer(value), out.data());
    return out;
}

std::optional<Answer> FlowSeals::open_answer(const FlowId& flow, ByteView sealed) {
    std::array<std::uint8_t, answer_size> text{};
    if (sealed.size() != sealed_answer_size || !open(OfAnswer, flow, sealed, text.data()))
        return std::nullopt;
    return parse_answer(text);
}

} // namespace p2prc::tunnel
