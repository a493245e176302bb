// Both ends of the benchmark of a relay: a server that sends what it is asked for, and clients that ask
// through the relay.
//
//   sni_load server PORT
//   sni_load bulk PORT NAME STREAMS BYTES      each stream fetches BYTES; prints seconds
//   sni_load rate PORT NAME THREADS SECONDS    new connections, 100 bytes each; prints how many
// A request is a ClientHello for NAME, then eight bytes: how many to send.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int one = 1;

std::string number(std::size_t value, int width) {
    std::string bytes;
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<char>(value >> shift & 0xff));
    return bytes;
}

std::string vector(const std::string& content, int width) {
    return number(content.size(), width) + content;
}

std::string make_request(const std::string& name, std::uint64_t bytes) {
    const auto sni = number(0, 2) + vector(vector(std::string(1, '\0') + vector(name, 2), 2), 2);
    const auto padding = number(21, 2) + vector(std::string(300, '\0'), 2); // as large as a usual hello
    const auto body = number(0x0303, 2) + std::string(32, 'r') + vector(std::string(32, 's'), 1) +
                      vector(number(0x1301, 2), 2) + vector(std::string(1, '\0'), 1) +
                      vector(sni + padding, 2);
    return "\x16" + number(0x0301, 2) + vector("\x01" + vector(body, 3), 2) + number(bytes, 8);
}

sockaddr_in loopback(int port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(static_cast<std::uint16_t>(port));
    return name;
}

bool receive(int fd, char* data, std::size_t size) {
    while (size > 0) {
        const auto got = recv(fd, data, size, 0);
        if (got <= 0) return false;
        data += got;
        size -= static_cast<std::size_t>(got);
    }
    return true;
}

void serve(int fd) {
    static const std::vector<char> block(256 * 1024, 'x');
    char header[5];
    std::vector<char> hello;
    unsigned char count[8];
    if (receive(fd, header, 5)) {
        hello.resize(static_cast<unsigned char>(header[3]) * 256U + static_cast<unsigned char>(header[4]));
        if (receive(fd, hello.data(), hello.size()) && receive(fd, reinterpret_cast<char*>(count), 8)) {
            std::uint64_t left = 0;
            for (const auto byte : count)
                left = left << 8 | byte;
            while (left > 0) {
                const auto sent =
                    send(fd, block.data(), std::min<std::uint64_t>(left, block.size()), MSG_NOSIGNAL);
                if (sent <= 0) break;
                left -= static_cast<std::uint64_t>(sent);
            }
        }
    }
    close(fd);
}

int run_server(int port) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const auto name = loopback(port);
    if (bind(listener, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
        listen(listener, 4096) != 0)
        return 1;
    // Several accept at once; one request each, so that no thread is made for a connection.
    std::vector<std::thread> threads;
    for (int i = 0; i < 64; ++i)
        threads.emplace_back([listener] {
            for (;;) {
                const int fd = accept(listener, nullptr, nullptr);
                if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                serve(fd);
            }
        });
    for (auto& thread : threads)
        thread.join();
    return 0;
}

// Whether all `bytes` came.
bool fetch(int port, const std::string& request, std::uint64_t bytes, std::vector<char>& buffer) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const auto name = loopback(port);
    std::uint64_t have = 0;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 &&
        send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
        for (;;) {
            const auto got = recv(fd, buffer.data(), buffer.size(), 0);
            if (got <= 0) break;
            have += static_cast<std::uint64_t>(got);
        }
    }
    close(fd);
    return have == bytes;
}

int run_bulk(int port, const std::string& name, int streams, std::uint64_t bytes) {
    const auto request = make_request(name, bytes);
    const auto begin = Clock::now();
    std::atomic<int> failed = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < streams; ++i)
        threads.emplace_back([&] {
            std::vector<char> buffer(256 * 1024);
            if (!fetch(port, request, bytes, buffer)) ++failed;
        });
    for (auto& thread : threads)
        thread.join();
    std::printf("%.6f\n", std::chrono::duration<double>(Clock::now() - begin).count());
    return failed == 0 ? 0 : 1;
}

int run_rate(int port, const std::string& name, int count, double seconds) {
    const auto request = make_request(name, 100);
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    std::atomic<std::uint64_t> done = 0, failed = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i)
        threads.emplace_back([&] {
            std::vector<char> buffer(4096);
            while (Clock::now() < end)
                ++(fetch(port, request, 100, buffer) ? done : failed);
        });
    for (auto& thread : threads)
        thread.join();
    std::printf("%llu %llu\n", static_cast<unsigned long long>(done.load()),
                static_cast<unsigned long long>(failed.load()));
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "server" && argc == 3) return run_server(std::atoi(argv[2]));
    if (mode == "bulk" && argc == 6)
        return run_bulk(std::atoi(argv[2]), argv[3], std::atoi(argv[4]), std::strtoull(argv[5], nullptr, 10));
    if (mode == "rate" && argc == 6)
        return run_rate(std::atoi(argv[2]), argv[3], std::atoi(argv[4]), std::atof(argv[5]));
    std::fputs("sni_load server PORT | bulk PORT NAME STREAMS BYTES | rate PORT NAME THREADS SECONDS\n",
               stderr);
    return 2;
}
