/* The loops of the measuring client, so that it is not what is measured. Python makes the connections, lets everyone
 * join, and calls these in threads of its own; torq_bench/client_loops.py is the same in Python.
 *
 * Facts:
 * - frame number n is frame n % ring_frames of a ring that Python made: checksums are right, and the ring stays in cache;
 * - the first and the last whole header of every read are compared with what is due at their place in the stream, so a
 *   lost, doubled, torn or late frame shows, at a cost that does not grow with the size of the read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 262144, HEADER_BYTES = 32, MOST_EVENTS = 256 };
static const int64_t SECOND = 1000000000;

struct plan {                  /* as class Plan in client_loops.py */
    int64_t frame_bytes, ring_frames, total_bytes, write_bytes;
    double bytes_per_second;   /* 0: as fast as they are taken */
    int64_t hold_at;           /* bytes after which the first receiver stops reading; -1: never */
    int64_t hold_ns;           /* how long it does not read ... */
    int64_t hold_from_sent;    /* ... 1: since the sender's last progress */
    int64_t silence_ns;        /* nothing comes for so long: what is missing is lost */
};

struct receiver {              /* as class Receiver in client_loops.py */
    int64_t descriptor, received, faults;
};

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* Sends the whole load to each descriptor, blocking; *sent is how far it is. Returns 0 or an errno. */
int send_load(const struct plan *plan, const char *ring, const int *descriptors, int count, int64_t *sent) {
    int64_t ring_bytes = plan->frame_bytes * plan->ring_frames, started = now_ns(), size;
    for (int64_t at = 0; at < plan->total_bytes; at += size) {
        size = plan->total_bytes - at < plan->write_bytes ? plan->total_bytes - at : plan->write_bytes;
        if (plan->bytes_per_second > 0) {
            int64_t due = started + (int64_t)(at / plan->bytes_per_second * SECOND);
            struct timespec until = {.tv_sec = due / SECOND, .tv_nsec = due % SECOND};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        }
        for (int i = 0; i < count; i++)
            for (int64_t done = 0; done < size;) {
                ssize_t taken = send(descriptors[i], ring + at % ring_bytes + done, size - done, MSG_NOSIGNAL);
                if (taken >= 0) done += taken;
                else if (errno != EINTR) return errno;
            }
        __atomic_store_n(sent, at + size, __ATOMIC_RELAXED);
    }
    return 0;
}

static void check(const struct plan *plan, const char *ring, struct receiver *receiver, const char *data, int64_t size) {
    int64_t frame_bytes = plan->frame_bytes, position = receiver->received;
    int64_t first = (frame_bytes - position % frame_bytes) % frame_bytes;
    if (first + HEADER_BYTES > size) return;
    int64_t last = first + (size - HEADER_BYTES - first) / frame_bytes * frame_bytes;
    int64_t number = (position + first) / frame_bytes;
    int64_t last_number = number + (last - first) / frame_bytes;
    receiver->faults += memcmp(data + first, ring + number % plan->ring_frames * frame_bytes, HEADER_BYTES)
                     || memcmp(data + last, ring + last_number % plan->ring_frames * frame_bytes, HEADER_BYTES);
}

/* Reads until every receiver has the whole load, or nothing comes any more; returns when the last byte came, in ns. */
int64_t receive_load(const struct plan *plan, const char *ring, struct receiver *receivers, int count,
                     const int64_t *sent) {
    static char buffer[READ_BYTES];
    int poller = epoll_create1(0), open = count, held = 0, may_hold = plan->hold_at >= 0;
    int64_t last_event = now_ns(), progress = last_event, held_at = 0, seen = 0;
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = receivers + i};
        epoll_ctl(poller, EPOLL_CTL_ADD, receivers[i].descriptor, &event);
    }
    while (open) {
        int64_t now = now_ns(), sent_now = __atomic_load_n(sent, __ATOMIC_RELAXED);
        if (sent_now != seen) { seen = sent_now; progress = now; }
        if (may_hold && !held && receivers->received >= plan->hold_at) {
            epoll_ctl(poller, EPOLL_CTL_DEL, receivers->descriptor, NULL);
            held = 1;
            held_at = now;
        }
        if (held && now - (plan->hold_from_sent ? progress : held_at) >= plan->hold_ns) {
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = receivers};
            epoll_ctl(poller, EPOLL_CTL_ADD, receivers->descriptor, &event);
            held = may_hold = 0;
        }
        if (!held && now - last_event > plan->silence_ns && now - progress > plan->silence_ns) break;
        struct epoll_event events[MOST_EVENTS];
        int ready = epoll_wait(poller, events, MOST_EVENTS, held ? 1 : 50);
        for (int i = 0; i < ready; i++) {
            struct receiver *receiver = events[i].data.ptr;
            ssize_t got = recv(receiver->descriptor, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (got > 0) {
                check(plan, ring, receiver, buffer, got);
                receiver->received += got;
            }
            if (got <= 0 || receiver->received >= plan->total_bytes) {
                epoll_ctl(poller, EPOLL_CTL_DEL, receiver->descriptor, NULL);
                open--;
            }
        }
        if (ready > 0) last_event = open ? now : now_ns();
    }
    close(poller);
    return last_event;
}

/* One frame at a time: ns from before its send until the last receiver, blocking in recv, has it; all have it before
 * the next. The sender's echo is read like a receiver's. Returns the frames that came back, and stops at one that did not. */
int64_t round_trips(const char *frame, int64_t frame_bytes, const int *descriptors, int count, int sender,
                    int64_t samples, int64_t *times_ns) {
    char buffer[65536];
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t started = now_ns();
        if (send(sender, frame, frame_bytes, MSG_NOSIGNAL) != frame_bytes) return sample;
        for (int i = count - 1; i >= 0; i--) {
            if (recv(descriptors[i], buffer, frame_bytes, MSG_WAITALL) != frame_bytes) return sample;
            if (i == count - 1) times_ns[sample] = now_ns() - started;
            if (memcmp(buffer, frame, frame_bytes)) return sample;
        }
    }
    return samples;
}
