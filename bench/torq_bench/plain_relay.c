/* The limit: the least that a relay of this protocol does, in C on one epoll and one thread.
 *
 * It cuts frames, checks magic, size and domain, and sends what it accepts to every connection, the sender included.
 * What a socket does not take waits in that connection's queue, without a bound: nothing is lost. It sleeps when there
 * is nothing to do, and SIGTERM's default action ends it.
 * Usage: plain_relay SOCKET DOMAIN
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 65536, HEADER_BYTES = 32, MOST_MESSAGE = 1048576, MOST_CLIENTS = 65536 };
enum { DOMAIN_AT = 4, PAYLOAD_BYTES_AT = 24 };
static const uint32_t MAGIC = 0xDEADBEEF;

struct client {
    int fd;
    char *partial;                                /* the incomplete frame at the end of the last read */
    size_t partial_bytes;
    char *queue;                                  /* bytes queue_start to queue_stop wait for the socket */
    size_t queue_start, queue_stop, queue_room;
};

static struct client *clients[MOST_CLIENTS];      /* by descriptor */
static struct client *joined[MOST_CLIENTS];       /* in the order of their joining */
static int joined_count, poller;
static uint8_t domain;

static void *checked(void *memory) {
    if (!memory) { perror("plain_relay"); exit(1); }
    return memory;
}

static void watch(int operation, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, operation, fd, &event)) { perror("plain_relay: epoll_ctl"); exit(1); }
}

static void join(int fd) {
    if (fd < 0) return;
    if (fd >= MOST_CLIENTS) { close(fd); return; }
    struct client *client = checked(calloc(1, sizeof *client));
    client->fd = fd;
    clients[fd] = joined[joined_count++] = client;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void leave(struct client *client) {
    int at = 0;
    while (joined[at] != client) at++;
    joined_count--;
    memmove(joined + at, joined + at + 1, (joined_count - at) * sizeof *joined);
    clients[client->fd] = NULL;
    close(client->fd);
    free(client->partial);
    free(client->queue);
    free(client);
}

/* Bytes that the socket took. A broken connection takes all: it leaves when its end is read. */
static size_t sent(int fd, const char *data, size_t size) {
    ssize_t count = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return count;
    return errno == EAGAIN || errno == EINTR ? 0 : size;
}

static void enqueue(struct client *client, const char *data, size_t size) {
    size_t waiting = client->queue_stop - client->queue_start;
    if (!waiting) watch(EPOLL_CTL_MOD, client->fd, EPOLLIN | EPOLLOUT);
    if (client->queue_stop + size > client->queue_room) {
        if (client->queue_start >= waiting && waiting + size <= client->queue_room) {
            memcpy(client->queue, client->queue + client->queue_start, waiting);
            client->queue_start = 0;
            client->queue_stop = waiting;
        } else {
            client->queue_room = 2 * (client->queue_stop + size);
            client->queue = checked(realloc(client->queue, client->queue_room));
        }
    }
    memcpy(client->queue + client->queue_stop, data, size);
    client->queue_stop += size;
}

static void flush(struct client *client) {
    size_t waiting = client->queue_stop - client->queue_start;
    client->queue_start += sent(client->fd, client->queue + client->queue_start, waiting);
    if (client->queue_start < client->queue_stop) return;
    client->queue_start = client->queue_stop = 0;
    watch(EPOLL_CTL_MOD, client->fd, EPOLLIN);
}

static void fan_out(const char *data, size_t size) {
    if (!size) return;
    for (int i = 0; i < joined_count; i++) {
        struct client *client = joined[i];
        size_t taken = client->queue_stop ? 0 : sent(client->fd, data, size);
        if (taken < size) enqueue(client, data + taken, size - taken);
    }
}

/* Fans out the frames of this domain, adjacent ones in one piece; returns the bytes of whole frames, -1 at a bad header. */
static ssize_t forward(const char *data, size_t size) {
    size_t at = 0, run = 0;
    int valid = 1;
    while (size - at >= HEADER_BYTES) {
        uint32_t magic, payload_bytes;
        memcpy(&magic, data + at, sizeof magic);
        memcpy(&payload_bytes, data + at + PAYLOAD_BYTES_AT, sizeof payload_bytes);
        valid = magic == MAGIC && payload_bytes <= MOST_MESSAGE - HEADER_BYTES;
        size_t frame_bytes = HEADER_BYTES + (size_t)payload_bytes;
        if (!valid || size - at < frame_bytes) break;
        if ((uint8_t)data[at + DOMAIN_AT] != domain) {
            fan_out(data + run, at - run);
            run = at + frame_bytes;
        }
        at += frame_bytes;
    }
    fan_out(data + run, at - run);
    return valid ? (ssize_t)at : -1;
}

static void receive(struct client *client) {
    static char buffer[MOST_MESSAGE + READ_BYTES];
    size_t size = client->partial_bytes;
    ssize_t got = recv(client->fd, buffer + size, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) { leave(client); return; }
    if (size) memcpy(buffer, client->partial, size);
    size += got;
    ssize_t used = forward(buffer, size);
    if (used < 0) { leave(client); return; }
    client->partial_bytes = size - used;
    if (!client->partial_bytes) return;
    client->partial = checked(realloc(client->partial, client->partial_bytes));
    memcpy(client->partial, buffer + used, client->partial_bytes);
}

int main(int count, char **words) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (count != 3 || strlen(words[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: plain_relay SOCKET DOMAIN; a path has at most %zu bytes\n", sizeof address.sun_path - 1);
        return 2;
    }
    strcpy(address.sun_path, words[1]);
    domain = atoi(words[2]);
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror(words[1]);
        return 1;
    }
    poller = epoll_create1(0);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) { join(accept(listener, NULL, NULL)); continue; }
            if (clients[fd] && events[i].events & EPOLLOUT) flush(clients[fd]);
            if (clients[fd] && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(clients[fd]);
        }
    }
}
