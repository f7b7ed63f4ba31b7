// A relay of Protocol V2, written from docs/spec alone: a foreign build that the conformance suite is tried on.
//
// It shares nothing with the other relays of this tree, neither code nor shape. Every connection has two threads that
// block: a reader, which cuts bytes into frames and judges them, and a writer, which empties the connection's queue.
// One lock, the sequencer, gives the frames of all readers their one order (ORD-2) and guards all queues.
//
//     g++ -std=c++17 -O2 -pthread relay.cc -o relay
//     ./relay --domain signal --socket /run/torq/signal.sock --overflow disconnect --max-connections 200
//
// `--help` lists the settings. The right build is meant to hold all of docs/spec/relay.md but takeover (LIFE-3, LIFE-4)
// and the audit log (SEC-3). `--fault NAME[=VALUE]` makes one real mistake, `--faults-all` all of them, `--list-faults`
// names them: each is a few lines where a programmer would have made it.
//
// From top to bottom: faults, settings, the checks of a frame, framing, connections, the relay, its socket, main.

#include <fcntl.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Lock = std::unique_lock<std::mutex>;
using Seconds = std::chrono::duration<double>;

[[noreturn]] void fail(const std::string& what, int error = 0) {
    throw std::runtime_error(error ? what + ": " + std::strerror(error) : what);
}

Clock::duration ticks(double seconds) { return std::chrono::duration_cast<Clock::duration>(Seconds(seconds)); }

// ---------------------------------------------------------------------------------------------------------------------
// Faults: none is there unless asked for.

enum class Fault {
    search_after, size_bits, size_wraps, order_lost, overtaken, begun_dropped, checksum_tires, tlv_255, descriptor_lost,
    drain_fixed, half_closed_expelled, refused_counted, slow_while_full, wakeup_lost, offset_lost, closed_at_epipe,
    inbox_reused, gather_off_by_one, neighbour_skipped, sealed_early, buffer_shared, count_,
};

struct FaultEntry {
    Fault fault;
    const char* name;
    const char* usual;  // the value that it has when none is given; empty: it takes none
    const char* meaning;
};

constexpr FaultEntry kFaults[] = {
    {Fault::search_after, "search-after", "all", "a frame refused so is searched for the next magic, not skipped"},
    {Fault::size_bits, "size-bits", "31", "payload_size is cut to so many bits"},
    {Fault::size_wraps, "size-wraps", "", "32 + payload_size is computed in 32 bits"},
    {Fault::order_lost, "order-lost", "9", "above so many connections the lock is let go between receivers"},
    {Fault::overtaken, "overtaken", "262144", "a larger frame goes behind the smaller ones of the same read"},
    {Fault::begun_dropped, "begun-dropped", "31", "overflow drops a frame of which only so many bytes are sent"},
    {Fault::checksum_tires, "checksum-tires", "1000", "after so many accepted frames no checksum is verified"},
    {Fault::tlv_255, "tlv-255", "", "a TLV of length 255 of which 254 bytes are there passes"},
    {Fault::descriptor_lost, "descriptor-lost", "", "a client that resets within a frame leaves its descriptor open"},
    {Fault::drain_fixed, "drain-fixed", "1", "the drain takes so many seconds, whatever the setting says"},
    {Fault::half_closed_expelled, "half-closed-expelled", "", "overflow ends a half-closed consumer"},
    {Fault::refused_counted, "refused-counted", "", "a refused client takes a place for ever"},
    {Fault::slow_while_full, "slow-while-full", "333", "a frame costs so many microseconds while a consumer is full"},
    {Fault::wakeup_lost, "wakeup-lost", "", "a writer whose socket was full waits for the next frame"},
    {Fault::offset_lost, "offset-lost", "", "a drop at the bound forgets how much of the first frame was sent"},
    {Fault::closed_at_epipe, "closed-at-epipe", "", "a failed write ends the connection before its input is read"},
    {Fault::inbox_reused, "inbox-reused", "", "a new connection begins with the rest of a frame of one that left"},
    {Fault::gather_off_by_one, "gather-off-by-one", "64", "a write that sends exactly so many frames forgets one more"},
    {Fault::neighbour_skipped, "neighbour-skipped", "", "a dead receiver is erased in the loop: the next is skipped"},
    {Fault::sealed_early, "sealed-early", "", "a stop ends the writers before the readers have ended"},
    {Fault::buffer_shared, "buffer-shared", "", "all readers have one buffer"},
};

class Faults {
public:
    void turn_on(const std::string& word) {
        const auto equals = word.find('=');
        const std::string name = word.substr(0, equals);
        for (const auto& entry : kFaults)
            if (name == entry.name) {
                const std::string value = equals == std::string::npos ? entry.usual : word.substr(equals + 1);
                const bool is_number = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
                if (!*entry.usual && !value.empty()) fail("--fault " + name + " takes no value");
                if (*entry.usual && entry.fault != Fault::search_after && !is_number) fail("--fault " + word + ": no number");
                values_[index(entry.fault)] = value;
                return;
            }
        fail("--fault " + name + ": no such fault; --list-faults names them");
    }
    void turn_all_on() { for (const auto& entry : kFaults) values_[index(entry.fault)] = entry.usual; }
    bool operator[](Fault fault) const { return values_[index(fault)].has_value(); }
    bool has(Fault fault, std::string_view value) const { return values_[index(fault)] == value; }
    std::uint64_t number(Fault fault) const { return std::stoull(*values_[index(fault)]); }

private:
    static std::size_t index(Fault fault) { return static_cast<std::size_t>(fault); }
    std::array<std::optional<std::string>, static_cast<std::size_t>(Fault::count_)> values_;
};

Faults faults;  // written by main before the first thread starts

// ---------------------------------------------------------------------------------------------------------------------
// Settings (docs/spec/relay.md#settings): sizes in bytes, times in seconds.

enum class Overflow { drop_oldest, disconnect, backpressure };

struct Settings {
    std::string domain;
    std::string socket;
    bool echo = true;
    bool resync = false;
    bool checksum = false;
    bool accept_zero_checksum = true;
    bool check_tlvs = false;  // the type filter goes with it
    bool strict = false;
    std::size_t max_message_size = 1 << 20;
    std::size_t max_connections = 0;  // 0: none
    Overflow overflow = Overflow::drop_oldest;
    std::size_t queue_frames = 0;  // 0: none
    std::size_t queue_bytes = 256u << 20;
    std::size_t total_queue_bytes = 1u << 30;
    double first_read_grace = 10;
    double stall_timeout = 0.25;
    double partial_frame_timeout = 0;  // 0: none
    double drain_timeout = 5;
    std::set<unsigned> allow_uids, allow_gids;  // both empty: everybody
    std::string metrics;                        // path of a socket that shows the counters

    // Takes a domain and its defaults: what changes them comes after it.
    void use_domain(const std::string& name) {
        if (name != "market_data" && name != "signal" && name != "execution") fail(name + ": no relay's domain");
        domain = name;
        checksum = check_tlvs = name != "market_data";
        strict = name == "execution";
        accept_zero_checksum = name != "execution";
    }
    std::uint8_t number() const { return domain == "market_data" ? 1 : domain == "signal" ? 2 : 3; }
    unsigned first_type() const { return domain == "signal" ? 20 : 40; }
    unsigned last_type() const { return domain == "signal" ? 39 : 79; }
};

// ---------------------------------------------------------------------------------------------------------------------
// What a frame is, and the checks of docs/spec/envelope.md in their order.

constexpr std::size_t kHeader = 32;
constexpr std::string_view kMagic("\xEF\xBE\xAD\xDE", 4);

constexpr std::size_t kDomainAt = 4, kVersionAt = 5, kSourceAt = 6, kPayloadSizeAt = 24, kChecksumAt = 28;

std::uint32_t read_u32(const char* at) {
    std::uint32_t value = 0;
    for (int byte = 3; byte >= 0; --byte) value = value << 8 | static_cast<std::uint8_t>(at[byte]);
    return value;
}

unsigned read_u8(const char* at) { return static_cast<std::uint8_t>(*at); }

// CRC-32 of zlib, eight bytes a step.
class Crc {
public:
    Crc() {
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            std::uint32_t value = byte;
            for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
            table_[0][byte] = value;
        }
        for (int row = 1; row < 8; ++row)
            for (int byte = 0; byte < 256; ++byte)
                table_[row][byte] = table_[row - 1][byte] >> 8 ^ table_[0][table_[row - 1][byte] & 0xFF];
    }
    std::uint32_t add(std::uint32_t crc, std::string_view bytes) const {
        crc = ~crc;
        const char* at = bytes.data();
        std::size_t left = bytes.size();
        for (; left >= 8; at += 8, left -= 8) {
            const std::uint32_t low = crc ^ read_u32(at), high = read_u32(at + 4);
            crc = 0;
            for (int byte = 0; byte < 4; ++byte)
                crc ^= table_[7 - byte][low >> 8 * byte & 0xFF] ^ table_[3 - byte][high >> 8 * byte & 0xFF];
        }
        for (; left; ++at, --left) crc = crc >> 8 ^ table_[0][(crc ^ read_u8(at)) & 0xFF];
        return ~crc;
    }

private:
    std::uint32_t table_[8][256];
};

// Sources that the registry names.
bool is_known_source(unsigned source) {
    return (source >= 1 && source <= 5) || (source >= 20 && source <= 23) || (source >= 40 && source <= 42) ||
           (source >= 60 && source <= 62) || (source >= 80 && source <= 82);
}

// The size of a fixed-size type of the execution domain, or none.
std::optional<std::size_t> fixed_size(unsigned type) {
    switch (type) {
        case 40: case 42: case 60: case 69: return 32;
        case 41: case 44: case 71: return 24;
        case 43: return 16;
        case 45: case 63: return 48;
        case 66: return 40;
        default: return std::nullopt;
    }
}

using Refusal = const char*;  // the error's name in docs/spec/envelope.md; null: accepted

class Judge {
public:
    explicit Judge(const Settings& settings) : settings_(settings) {}

    // Says why a whole frame is refused (DOM-1 to DOM-4, VAL-1 to VAL-4).
    Refusal refusal(std::string_view frame) {
        if (read_u8(&frame[kDomainAt]) != settings_.number()) return "bad-domain";
        if (settings_.strict) {
            if (read_u8(&frame[kVersionAt]) != 1) return "bad-version";
            if (!is_known_source(read_u8(&frame[kSourceAt]))) return "unknown-source";
        }
        if (settings_.checksum && !has_right_checksum(frame)) return "bad-checksum";
        if (settings_.check_tlvs)
            if (Refusal reason = refusal_of_tlvs(frame.substr(kHeader))) return reason;
        ++accepted_;
        return nullptr;
    }

private:
    bool has_right_checksum(std::string_view frame) const {
        if (faults[Fault::checksum_tires] && accepted_ >= faults.number(Fault::checksum_tires)) return true;
        const std::uint32_t stated = read_u32(&frame[kChecksumAt]);
        if (stated == 0 && settings_.accept_zero_checksum) return true;
        return crc_.add(crc_.add(0, frame.substr(0, kChecksumAt)), frame.substr(kHeader)) == stated;
    }

    Refusal refusal_of_tlvs(std::string_view payload) const {
        while (!payload.empty()) {
            const bool extended = read_u8(&payload[0]) == 255;
            const std::size_t header = extended ? 5 : 2;
            if (payload.size() < header) return "truncated-tlv-header";
            unsigned type = read_u8(&payload[0]);
            std::size_t length = read_u8(&payload[1]);
            if (extended) {
                if (length != 0) return "bad-reserved-byte";
                type = read_u8(&payload[2]);
                if (type == 0 || type == 255) return "bad-extended-type";
                length = read_u8(&payload[3]) | read_u8(&payload[4]) << 8;
            }
            payload.remove_prefix(header);
            if (faults[Fault::tlv_255] && length == 255 && payload.size() == 254) length = 254;
            if (payload.size() < length) return "truncated-tlv";
            if (type < settings_.first_type() || type > settings_.last_type()) return "type-out-of-range";
            if (settings_.strict && fixed_size(type).value_or(length) != length) return "bad-tlv-size";
            payload.remove_prefix(length);
        }
        return nullptr;
    }

    const Settings& settings_;
    const Crc crc_;
    std::atomic<std::uint64_t> accepted_{0};
};

// ---------------------------------------------------------------------------------------------------------------------
// Framing: the bytes of one connection become frames, however they were cut (FRAME-1, FRAME-2).

// One accepted frame. All queues that hold it share it; `held` counts the bytes of all frames there are, each once.
struct Frame {
    explicit Frame(std::string_view text) : bytes(text) { held += bytes.size(); }
    ~Frame() { held -= bytes.size(); }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

    const std::string bytes;
    static inline std::atomic<std::size_t> held{0};
};
using FramePtr = std::shared_ptr<const Frame>;

// What one read held.
struct Cut {
    std::vector<FramePtr> frames;
    std::vector<Refusal> refused;
    Refusal framing_error = nullptr;
};

class Inbox {
public:
    // Takes what was read; gives the frames that are whole now, those before a framing error too (VAL-5).
    Cut take(std::string_view read, const Settings& settings, Judge& judge) {
        bytes_.append(read);
        Cut cut;
        std::vector<FramePtr> late;
        std::size_t at = 0;
        while (at < bytes_.size()) {
            const std::string_view rest = std::string_view(bytes_).substr(at);
            std::size_t size = kHeader;
            Refusal error = nullptr;
            if (rest.substr(0, kMagic.size()) != kMagic.substr(0, rest.size())) {
                error = "bad-magic";
            } else if (rest.size() >= kHeader) {
                size = size_of(rest);
                if (size > settings.max_message_size) error = "oversize";
            }
            if (error) {
                cut.refused.push_back(error);
                if (!settings.resync) {
                    cut.framing_error = error;
                    break;
                }
                at = next_magic(at + 1);
                continue;
            }
            if (rest.size() < size) break;  // memory grows with what has arrived, never with what is announced (VAL-6)
            const std::string_view frame = rest.substr(0, size);
            if (Refusal reason = judge.refusal(frame)) {
                cut.refused.push_back(reason);
                if (faults.has(Fault::search_after, "all") || faults.has(Fault::search_after, reason)) {
                    at = next_magic(at + 1);
                    continue;
                }
            } else if (faults[Fault::overtaken] && size > faults.number(Fault::overtaken)) {
                late.push_back(std::make_shared<Frame>(frame));
            } else {
                cut.frames.push_back(std::make_shared<Frame>(frame));
            }
            at += size;
        }
        cut.frames.insert(cut.frames.end(), late.begin(), late.end());
        forget(at);
        return cut;
    }

    // A part of a frame is here.
    bool is_partial() const { return !bytes_.empty(); }
    // When the first byte of that frame came: more bytes of it gain no time (FRAME-5).
    Clock::time_point partial_since() const { return partial_since_; }

private:
    static std::size_t size_of(std::string_view header) {
        std::uint64_t payload = read_u32(&header[kPayloadSizeAt]);
        if (faults[Fault::size_bits]) payload &= (std::uint64_t{1} << faults.number(Fault::size_bits)) - 1;
        if (faults[Fault::size_wraps]) return std::max<std::size_t>((payload + kHeader) & 0xFFFFFFFF, kHeader);
        return kHeader + payload;
    }

    // Where the next magic stands, or may begin at the end of what is here.
    std::size_t next_magic(std::size_t from) const {
        for (; from < bytes_.size(); ++from) {
            const std::string_view rest = std::string_view(bytes_).substr(from, kMagic.size());
            if (rest == kMagic.substr(0, rest.size())) break;
        }
        return from;
    }

    void forget(std::size_t count) {
        const bool had_partial = was_partial_;
        bytes_.erase(0, count);
        was_partial_ = is_partial();
        if (was_partial_ && (count > 0 || !had_partial)) partial_since_ = Clock::now();
        if (bytes_.capacity() > kKept && bytes_.size() < kKept) std::string(bytes_).swap(bytes_);  // RES-1
    }

    static constexpr std::size_t kKept = 4096;
    std::string bytes_;
    bool was_partial_ = false;
    Clock::time_point partial_since_;
};

// ---------------------------------------------------------------------------------------------------------------------
// Connections. All but the descriptor is guarded by the sequencer lock.

struct Connection {
    explicit Connection(int descriptor) : fd(descriptor) {}
    ~Connection() {
        if (!leaked) ::close(fd);  // both threads have ended: nobody uses the number any more
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // The client reads: its socket holds less than it was given (ISO-7, ISO-8). What is held is counted with the
    // kernel's overhead, so less than just after the last write says it as well.
    bool has_read() {
        int unread = 0;
        if (!seen_to_read && given > 0 && ::ioctl(fd, SIOCOUTQ, &unread) == 0)
            seen_to_read = unread < unread_after_write || static_cast<std::uint64_t>(unread) < given;
        return seen_to_read;
    }

    void note_given(std::size_t count) {
        if (given == 0) given_since = Clock::now();
        given += count;
        if (!seen_to_read) ::ioctl(fd, SIOCOUTQ, &unread_after_write);
    }

    const int fd;
    bool leaked = false;
    bool input_open = true;
    bool output_open = true;  // false: nothing is queued any more
    std::deque<FramePtr> queue;
    std::size_t queued_bytes = 0;  // of whole frames; one partly sent counts
    std::size_t sent = 0;          // bytes of the first frame that the kernel has
    bool is_sending = false;       // the kernel is being given frames of the queue
    bool seen_to_read = false;
    std::uint64_t given = 0;  // bytes that the kernel took
    int unread_after_write = 0;
    Clock::time_point given_since;
    std::condition_variable work;  // something to write, or the end of writing
};
using ConnectionPtr = std::shared_ptr<Connection>;

struct Counters {
    std::uint64_t received = 0, delivered = 0;
    std::map<std::string, std::uint64_t> dropped, refused;  // by reason
};

// ---------------------------------------------------------------------------------------------------------------------
// The relay.

class Relay {
public:
    explicit Relay(const Settings& settings) : settings_(settings), judge_(settings_) {}

    // Serves a client, or refuses it by closing (CONN-5, SEC-2).
    void admit(int fd) {
        const auto connection = std::make_shared<Connection>(fd);  // closes it, whatever happens
        if (!is_allowed(fd)) return;
        Lock lock(sequencer_);
        if (settings_.max_connections && connections_.size() + lost_places_ >= settings_.max_connections) {
            if (faults[Fault::refused_counted]) ++lost_places_;
            return;
        }
        if (!start([this, connection] { write_to(*connection); })) return;
        if (!start([this, connection] { read_from(*connection); })) return shut(*connection);
        connections_.push_back(connection);
        ++reading_;
    }

    // Delivers what was accepted, for drain_timeout at most, and closes everything (LIFE-1). Nobody comes any more.
    void drain() {
        const double allowed = faults[Fault::drain_fixed] ? faults.number(Fault::drain_fixed) : settings_.drain_timeout;
        const auto end = Clock::now() + ticks(allowed);
        Lock lock(sequencer_);
        if (faults[Fault::sealed_early]) seal();
        for (const auto& each : connections_) ::shutdown(each->fd, SHUT_RD);  // what is there is still read
        changed_.wait_until(lock, end, [this] { return reading_ == 0; });
        seal();
        changed_.wait_until(lock, end, [this] { return connections_.empty(); });
        for (const auto& each : connections_) shut(*each);
        changed_.wait(lock, [this] { return threads_ == 0; });
    }

    // The counters in Prometheus's text format (VAL-7, ISO-6).
    std::string counters() {
        Lock lock(sequencer_);
        std::size_t queued = 0;
        for (const auto& each : connections_) queued += each->queue.size();
        std::ostringstream text;
        text << "foreign_received_total " << counters_.received << "\nforeign_delivered_total " << counters_.delivered
             << "\nforeign_queued " << queued << "\n";
        for (const auto& [reason, count] : counters_.dropped)
            text << "foreign_dropped_total{reason=\"" << reason << "\"} " << count << "\n";
        for (const auto& [reason, count] : counters_.refused)
            text << "foreign_refused_total{reason=\"" << reason << "\"} " << count << "\n";
        return text.str();
    }

private:
    static constexpr std::size_t kRead = 32768;              // bytes of one read, on the reader's stack (RES-1)
    static constexpr std::size_t kGathered = 64;             // frames of one write
    static constexpr std::size_t kPublisherBytes = 1 << 20;  // what is kept for a client that never reads (ISO-8)

    bool is_allowed(int fd) const {
        if (settings_.allow_uids.empty() && settings_.allow_gids.empty()) return true;
        ucred peer{};
        socklen_t size = sizeof peer;
        if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
        return settings_.allow_uids.count(peer.uid) || settings_.allow_gids.count(peer.gid);
    }

    // Runs the work on a thread that drain() waits for; false where the machine has none left. Needs the lock.
    bool start(std::function<void()> work) {
        try {
            std::thread([this, work = std::move(work)]() mutable {
                work();
                work = nullptr;  // gives its connection back before drain() may see the end
                Lock lock(sequencer_);
                --threads_;
                changed_.notify_all();
            }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        ++threads_;
        return true;
    }

    // ---- the reader

    void read_from(Connection& connection) {
        Inbox inbox;
        if (faults[Fault::inbox_reused]) {
            Lock lock(sequencer_);
            std::swap(inbox, left_over_);
        }
        const bool polite = read_all(connection, inbox);
        {
            Lock lock(sequencer_);
            if (faults[Fault::inbox_reused]) left_over_ = inbox;
            if (faults[Fault::descriptor_lost] && !polite && inbox.is_partial()) connection.leaked = true;
            connection.input_open = false;
            --reading_;
            changed_.notify_all();
            if (!polite) shut(connection);
        }
        wait_for_hangup(connection.fd);  // the end of input ends the input alone (CONN-7)
        Lock lock(sequencer_);
        shut(connection);
        leave(connection);
    }

    // Reads to the end of input; false where the connection is to be ended at once. A failed write is no reason: what
    // the client sent before it left is still to be read (CONN-6).
    bool read_all(Connection& connection, Inbox& inbox) {
        static char shared[kRead];
        char own[kRead];
        char* const buffer = faults[Fault::buffer_shared] ? shared : own;
        const auto patience = ticks(settings_.partial_frame_timeout);
        const bool is_timed = patience > Clock::duration::zero();
        while (true) {
            const auto end = inbox.partial_since() + patience;
            if (is_timed && inbox.is_partial() && !is_readable(connection.fd, end)) return false;
            const ssize_t count = ::recv(connection.fd, buffer, kRead, 0);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return count == 0;
            if (faults[Fault::buffer_shared]) std::this_thread::yield();
            const Cut cut = inbox.take({buffer, static_cast<std::size_t>(count)}, settings_, judge_);
            const bool may_go_on = forward(cut, connection);
            if (cut.framing_error || !may_go_on) return false;
            if (is_timed && inbox.is_partial() && Clock::now() >= inbox.partial_since() + patience) return false;
        }
    }

    static bool is_readable(int fd, Clock::time_point until) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
        pollfd wanted{fd, POLLIN, 0};
        return ::poll(&wanted, 1, static_cast<int>(std::clamp<long>(left, 0, 1 << 30))) != 0;
    }

    static void wait_for_hangup(int fd) {
        pollfd wanted{fd, 0, 0};
        while (::poll(&wanted, 1, -1) < 0 && errno == EINTR) {}
    }

    // ---- the sequencer

    // Gives the frames of one read to everybody, in one piece unless backpressure waits between two of them.
    bool forward(const Cut& cut, const Connection& sender) {
        Lock lock(sequencer_);
        for (Refusal reason : cut.refused) ++counters_.refused[reason];
        for (const auto& frame : cut.frames) {
            if (settings_.overflow == Overflow::backpressure) wait_for_room(frame->bytes.size(), lock);
            if (faults[Fault::slow_while_full] && is_anybody_full())
                std::this_thread::sleep_for(std::chrono::microseconds(faults.number(Fault::slow_while_full)));
            ++counters_.received;
            fan_out(frame, sender, lock);
            relieve_longest();
        }
        return !faults[Fault::closed_at_epipe] || sender.output_open;
    }

    void fan_out(const FramePtr& frame, const Connection& sender, Lock& lock) {
        if (faults[Fault::order_lost] && connections_.size() > faults.number(Fault::order_lost)) {
            const auto receivers = connections_;
            for (const auto& each : receivers) {
                if (settings_.echo || each.get() != &sender) enqueue(*each, frame);
                lock.unlock();
                std::this_thread::yield();
                lock.lock();
            }
            return;
        }
        for (std::size_t index = 0; index < connections_.size(); ++index) {
            Connection& receiver = *connections_[index];
            if (faults[Fault::neighbour_skipped] && !receiver.output_open) {
                connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(index));
                continue;
            }
            if (settings_.echo || &receiver != &sender) enqueue(receiver, frame);
        }
    }

    void enqueue(Connection& receiver, const FramePtr& frame) {
        if (!receiver.output_open) return;
        receiver.queue.push_back(frame);
        receiver.queued_bytes += frame->bytes.size();
        receiver.work.notify_one();
        relieve(receiver);
    }

    // ---- bounds (ISO-2, ISO-3)

    // Until a client is seen to read, its oldest frames are dropped under every policy (ISO-7).
    Overflow policy_of(Connection& receiver) const {
        if (settings_.overflow == Overflow::drop_oldest) return Overflow::drop_oldest;
        return receiver.has_read() ? settings_.overflow : Overflow::drop_oldest;
    }

    // Whether the receiver is past its bound, or would be with one more frame. An empty queue takes any frame.
    bool is_past_bound(Connection& receiver, std::size_t more_frames = 0, std::size_t more_bytes = 0) const {
        const std::size_t frames = receiver.queue.size() + more_frames, bytes = receiver.queued_bytes + more_bytes;
        if (frames <= 1) return false;
        if (bytes > settings_.queue_bytes || (settings_.queue_frames && frames > settings_.queue_frames)) return true;
        return bytes > kPublisherBytes && only_sends(receiver);
    }

    // A client that has read nothing for first_read_grace, counted from when there was something to read.
    bool only_sends(Connection& receiver) const {
        const bool is_over = Clock::now() > receiver.given_since + ticks(settings_.first_read_grace);
        return receiver.given > 0 && is_over && !receiver.has_read();
    }

    // Applies the policy to a receiver that is past its bound. While the kernel is being given the oldest frames nobody
    // knows which of them will stay: the writer comes here as soon as it does.
    void relieve(Connection& receiver) {
        while (!receiver.is_sending && receiver.output_open && is_past_bound(receiver)) {
            const bool expels = faults[Fault::half_closed_expelled] && !receiver.input_open;
            if (expels || policy_of(receiver) != Overflow::drop_oldest) return shut(receiver);
            drop_oldest(receiver);
        }
    }

    // The same for all queues together: for whom most waits. Backpressure does not wait here, it disconnects.
    void relieve_longest() {
        while (Frame::held > settings_.total_queue_bytes) {
            Connection* longest = nullptr;
            for (const auto& each : connections_)
                if (each->queue.size() > 1 && (!longest || each->queued_bytes > longest->queued_bytes))
                    longest = each.get();
            if (!longest || longest->is_sending) return;
            if (policy_of(*longest) == Overflow::drop_oldest) drop_oldest(*longest);
            else shut(*longest);
        }
    }

    // Drops the oldest frame but one that is partly sent (ISO-4). At least two wait.
    void drop_oldest(Connection& receiver) {
        bool is_begun = receiver.sent > 0;
        if (faults[Fault::begun_dropped] && receiver.sent <= faults.number(Fault::begun_dropped)) is_begun = false;
        if (!is_begun || faults[Fault::offset_lost]) receiver.sent = 0;
        const auto oldest = receiver.queue.begin() + (is_begun ? 1 : 0);
        receiver.queued_bytes -= (*oldest)->bytes.size();
        receiver.queue.erase(oldest);
        ++counters_.dropped["overflow"];
    }

    // Backpressure: keeps the reader until everybody has room, and disconnects whoever has none after stall_timeout.
    void wait_for_room(std::size_t bytes, Lock& lock) {
        const auto lacks_room = [&](const ConnectionPtr& each) {
            return each->output_open && is_past_bound(*each, 1, bytes) && policy_of(*each) == Overflow::backpressure;
        };
        const auto is_room = [&] { return std::none_of(connections_.begin(), connections_.end(), lacks_room); };
        if (room_.wait_for(lock, Seconds(settings_.stall_timeout), is_room)) return;
        for (const auto& each : connections_)
            if (lacks_room(each)) shut(*each);
    }

    bool is_anybody_full() const {
        const std::size_t full = settings_.queue_bytes / 2;
        const auto is_full = [&](const ConnectionPtr& each) { return each->queued_bytes > full; };
        return std::any_of(connections_.begin(), connections_.end(), is_full);
    }

    // ---- the writer

    void write_to(Connection& connection) {
        Lock lock(sequencer_);
        while (true) {
            connection.work.wait(lock, [&] { return !connection.output_open || !connection.queue.empty() || sealed_; });
            if (!connection.output_open) return;
            if (connection.queue.empty()) return shut(connection);  // the drain has delivered all of it
            connection.has_read();
            connection.is_sending = true;
            const ssize_t count = write_some(connection, lock);
            const int error = errno;
            connection.is_sending = false;
            if (!connection.output_open) return;
            if (count > 0) settle(connection, static_cast<std::size_t>(count));
            if (count < 0 && error != EAGAIN && error != EINTR) return end_output(connection);
            relieve(connection);
            room_.notify_all();
            if (count < 0 && error == EAGAIN) wait_until_writable(connection, lock);
        }
    }

    // Offers the first frames to the kernel, without the lock and without blocking; as sendmsg.
    static ssize_t write_some(const Connection& connection, Lock& lock) {
        const std::size_t offered = std::min(connection.queue.size(), kGathered);
        const auto first = connection.queue.begin();
        const std::vector<FramePtr> frames(first, first + static_cast<std::ptrdiff_t>(offered));  // kept if it is shut
        std::size_t skipped = connection.sent;
        lock.unlock();
        std::array<iovec, kGathered> pieces;
        for (std::size_t index = 0; index < offered; ++index, skipped = 0) {
            const std::string& bytes = frames[index]->bytes;
            pieces[index] = {const_cast<char*>(bytes.data()) + skipped, bytes.size() - skipped};
        }
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = offered;
        const ssize_t count = ::sendmsg(connection.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        const int error = errno;
        lock.lock();
        errno = error;
        return count;
    }

    // Takes what the kernel has off the queue.
    void settle(Connection& connection, std::size_t count) {
        connection.note_given(count);
        connection.sent += count;
        std::size_t finished = 0;
        const auto pop = [&] {
            connection.queued_bytes -= connection.queue.front()->bytes.size();
            connection.queue.pop_front();
            ++counters_.delivered;
            ++finished;
        };
        while (!connection.queue.empty() && connection.sent >= connection.queue.front()->bytes.size()) {
            connection.sent -= connection.queue.front()->bytes.size();
            pop();
        }
        const auto& wrong = Fault::gather_off_by_one;
        if (faults[wrong] && finished == faults.number(wrong) && connection.sent == 0 && !connection.queue.empty())
            pop();
    }

    void wait_until_writable(Connection& connection, Lock& lock) {
        if (faults[Fault::wakeup_lost]) {
            const FramePtr newest = connection.queue.back();
            connection.work.wait(lock, [&] { return !connection.output_open || connection.queue.back() != newest; });
            return;
        }
        lock.unlock();
        pollfd wanted{connection.fd, POLLOUT, 0};
        ::poll(&wanted, 1, -1);
        lock.lock();
    }

    // ---- ends

    // Nothing is sent to the client any more; what it sends is still read.
    void end_output(Connection& connection) {
        if (!connection.queue.empty()) counters_.dropped["disconnected"] += connection.queue.size();
        connection.output_open = false;
        connection.queue.clear();
        connection.queued_bytes = connection.sent = 0;
        connection.work.notify_one();
        room_.notify_all();
    }

    // Ends a connection both ways: its threads wake and leave.
    void shut(Connection& connection) {
        end_output(connection);
        ::shutdown(connection.fd, SHUT_RDWR);
    }

    void leave(const Connection& connection) {
        const auto is_it = [&](const ConnectionPtr& each) { return each.get() == &connection; };
        connections_.erase(std::remove_if(connections_.begin(), connections_.end(), is_it), connections_.end());
        changed_.notify_all();
    }

    // From here on a writer whose queue is empty ends its connection.
    void seal() {
        sealed_ = true;
        for (const auto& each : connections_) each->work.notify_one();
    }

    const Settings settings_;
    Judge judge_;
    std::mutex sequencer_;  // guards all below, and all connections
    std::condition_variable changed_, room_;
    std::vector<ConnectionPtr> connections_;
    std::size_t threads_ = 0;
    std::size_t reading_ = 0;  // connections whose input has not ended
    bool sealed_ = false;
    Counters counters_;
    std::size_t lost_places_ = 0;  // used by faults alone
    Inbox left_over_;              // the same
};

// ---------------------------------------------------------------------------------------------------------------------
// The socket (CONN-1, CONN-2, CONN-9, SEC-1).

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) fail(path + ": a socket's path has at most 107 bytes");
    path.copy(address.sun_path, path.size());
    return address;
}

int new_socket(int flags = 0) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) fail("socket", errno);
    return fd;
}

// Binds and listens, closed to others from the start.
int listen_at(const std::string& path) {
    const int fd = new_socket();
    const sockaddr_un address = address_of(path);
    const mode_t before = ::umask(0177);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fail(path + ": cannot bind", errno);
    ::umask(before);
    if (::listen(fd, SOMAXCONN) != 0) fail(path + ": cannot listen", errno);
    return fd;
}

class Endpoint {
public:
    explicit Endpoint(const std::string& path) : path_(path) {
        const auto slash = path.rfind('/');
        const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
        make_directory(directory);
        check_directory(directory);
        lock();
        remove_stale_socket();
        fd_ = listen_at(path);
        if (::lstat(path.c_str(), &bound_) != 0) fail(path, errno);
    }

    // Removes the file while it is still the one that was bound (LIFE-1).
    void remove() const {
        struct stat now{};
        if (::lstat(path_.c_str(), &now) == 0 && now.st_ino == bound_.st_ino && now.st_dev == bound_.st_dev)
            ::unlink(path_.c_str());
    }
    int fd() const { return fd_; }

private:
    static void make_directory(const std::string& directory) {
        for (std::size_t end = 1; end != std::string::npos && end <= directory.size(); ) {
            end = directory.find('/', end);
            const std::string part = directory.substr(0, end);
            if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) fail(part + ": cannot make the directory", errno);
            if (end != std::string::npos) ++end;
        }
    }

    static void check_directory(const std::string& directory) {
        struct stat status{};
        if (::stat(directory.c_str(), &status) != 0) fail(directory, errno);
        if (status.st_uid != ::geteuid()) fail(directory + ": belongs to another user");
        if (status.st_mode & S_IWOTH) fail(directory + ": others may write to it");
    }

    // Of several that start, the one that has the lock goes on. Its file stays: who removed it would let two have it.
    void lock() const {
        const std::string name = path_ + ".lock";
        const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) fail(name, errno);
        if (::flock(fd, LOCK_EX | LOCK_NB) != 0) fail(path_ + ": another relay serves here, or is about to");
    }

    // A socket that nobody answers is a crashed predecessor's. A relay of another make knows no lock: it is asked.
    void remove_stale_socket() const {
        struct stat status{};
        if (::lstat(path_.c_str(), &status) != 0) {
            if (errno == ENOENT) return;
            fail(path_, errno);
        }
        if (!S_ISSOCK(status.st_mode)) fail(path_ + ": stands there and is no socket");
        const int fd = new_socket(SOCK_NONBLOCK);
        const sockaddr_un address = address_of(path_);
        const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
        const int error = errno;
        ::close(fd);
        if (result == 0 || error == EAGAIN) fail(path_ + ": a relay answers there");
        if (error != ECONNREFUSED) fail(path_ + ": cannot tell whether a relay answers there", error);
        if (::unlink(path_.c_str()) != 0) fail(path_ + ": cannot remove the stale socket", errno);
    }

    const std::string path_;
    int fd_ = -1;
    struct stat bound_{};
};

// ---------------------------------------------------------------------------------------------------------------------
// The process.

// Whatever the starter left (LIFE-5): standard descriptors are open, the limit is as high as it may be.
void prepare_process() {
    for (int fd = 0; fd <= 2; ++fd)
        if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) fail("/dev/null", errno);
    ::umask(077);
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ::signal(SIGPIPE, SIG_IGN);
    // Two thousand threads: small stacks, one arena, and what was large is given back to the system (RES-1).
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, 256 << 10);
    ::pthread_setattr_default_np(&attributes);
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

// SIGTERM and SIGINT end the accepting of clients, which main waits for; a second one ends the process.
sigset_t block_stop_signals() {
    sigset_t stops;
    ::sigemptyset(&stops);
    for (int number : {SIGTERM, SIGINT}) {
        ::signal(number, SIG_DFL);  // an ignored signal would never be seen
        ::sigaddset(&stops, number);
    }
    ::pthread_sigmask(SIG_BLOCK, &stops, nullptr);
    return stops;
}

void stop_at_signal(const sigset_t& stops, int listener) {
    int number = 0;
    ::sigwait(&stops, &number);
    ::shutdown(listener, SHUT_RDWR);
    ::sigwait(&stops, &number);
    ::_exit(128 + number);
}

// Until the listener is shut down. Where descriptors have run out it waits: clients stay in the backlog (CONN-10).
void accept_clients(Relay& relay, int listener) {
    while (true) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd >= 0) relay.admit(fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        else if (errno != EINTR && errno != ECONNABORTED) return;
    }
}

void show_counters(Relay& relay, int listener) {
    while (true) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            continue;
        }
        const std::string text = relay.counters();
        ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        ::close(fd);
    }
}

template <typename Number>
Number number_of(const std::string& text) {
    std::istringstream stream(text);
    Number number{};
    if (text.empty() || text[0] == '-' || !(stream >> number) || !stream.eof())
        fail(text + ": not a number of that kind");
    return number;
}

Overflow overflow_of(const std::string& text) {
    if (text == "drop_oldest") return Overflow::drop_oldest;
    if (text == "disconnect") return Overflow::disconnect;
    if (text == "backpressure") return Overflow::backpressure;
    fail(text + ": drop_oldest, disconnect or backpressure");
}

bool choose(const std::string& text, const std::string& yes, const std::string& no) {
    if (text != yes && text != no) fail(text + ": " + yes + " or " + no);
    return text == yes;
}

Settings settings_of(const std::vector<std::string>& words) {
    Settings settings;
    auto& s = settings;
    using Text = const std::string&;
    const std::map<std::string, std::function<void(Text)>> options{
        {"--domain", [&](Text text) { s.use_domain(text); }},
        {"--socket", [&](Text text) { s.socket = text; }},
        {"--echo", [&](Text text) { s.echo = choose(text, "true", "false"); }},
        {"--checksum", [&](Text text) { s.checksum = choose(text, "true", "false"); }},
        {"--zero-checksum", [&](Text text) { s.accept_zero_checksum = choose(text, "accept", "refuse"); }},
        {"--on-framing-error", [&](Text text) { s.resync = choose(text, "resync", "close"); }},
        {"--max-message-size", [&](Text text) { s.max_message_size = number_of<std::size_t>(text); }},
        {"--max-connections", [&](Text text) { s.max_connections = number_of<std::size_t>(text); }},
        {"--overflow", [&](Text text) { s.overflow = overflow_of(text); }},
        {"--queue-frames", [&](Text text) { s.queue_frames = number_of<std::size_t>(text); }},
        {"--queue-bytes", [&](Text text) { s.queue_bytes = number_of<std::size_t>(text); }},
        {"--total-queue-bytes", [&](Text text) { s.total_queue_bytes = number_of<std::size_t>(text); }},
        {"--first-read-grace", [&](Text text) { s.first_read_grace = number_of<double>(text); }},
        {"--stall-timeout", [&](Text text) { s.stall_timeout = number_of<double>(text); }},
        {"--partial-frame-timeout", [&](Text text) { s.partial_frame_timeout = number_of<double>(text); }},
        {"--drain-timeout", [&](Text text) { s.drain_timeout = number_of<double>(text); }},
        {"--allow-uid", [&](Text text) { s.allow_uids.insert(number_of<unsigned>(text)); }},
        {"--allow-gid", [&](Text text) { s.allow_gids.insert(number_of<unsigned>(text)); }},
        {"--metrics", [&](Text text) { s.metrics = text; }},
        {"--fault", [](Text text) { faults.turn_on(text); }},
    };
    for (auto word = words.begin(); word != words.end(); ++word) {
        if (*word == "--faults-all") {
            faults.turn_all_on();
            continue;
        }
        if (*word == "--help") {
            for (const auto& option : options) std::cout << option.first << " VALUE\n";
            std::cout << "--faults-all\n--list-faults\n";
            std::exit(0);
        }
        const auto option = options.find(*word);
        if (option == options.end()) fail(*word + ": no such option; --help names them");
        if (word + 1 == words.end()) fail(*word + ": a value is missing");
        option->second(*++word);
    }
    if (settings.domain.empty()) fail("--domain: market_data, signal or execution is missing");
    if (settings.socket.empty()) fail("--socket: a path is missing");
    return settings;
}

int serve(const Settings& settings) {
    const sigset_t stops = block_stop_signals();
    const Endpoint endpoint(settings.socket);
    Relay relay(settings);
    if (!settings.metrics.empty()) {
        ::unlink(settings.metrics.c_str());
        std::thread(show_counters, std::ref(relay), listen_at(settings.metrics)).detach();
    }
    std::thread(stop_at_signal, std::cref(stops), endpoint.fd()).detach();
    accept_clients(relay, endpoint.fd());
    relay.drain();
    if (!settings.metrics.empty()) ::unlink(settings.metrics.c_str());
    endpoint.remove();
    ::_exit(0);  // the threads that listen to signals and show counters are still there
}

}  // namespace

int main(int count, char** words) {
    try {
        prepare_process();
        const std::vector<std::string> options(words + 1, words + count);
        if (!options.empty() && options[0] == "--list-faults") {
            for (const auto& entry : kFaults)
                std::cout << entry.name << "\t" << entry.usual << "\t" << entry.meaning << "\n";
            return 0;
        }
        return serve(settings_of(options));
    } catch (const std::exception& error) {
        std::cerr << "relay: " << error.what() << std::endl;
        return 1;
    }
}
