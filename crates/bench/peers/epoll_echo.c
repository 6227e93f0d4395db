/* An echo server on epoll by the calls of the C library: the baseline once more, as most would write it. How far the
 * two lie apart shows what a difference means.
 *
 *     epoll_echo [PORT]    prints "listening on 127.0.0.1:PORT"; 0 or nothing picks a free port
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, BACKLOG = 4096, EVENTS = 1024, DESCRIPTORS = 32 * 1024 };

/* What a socket did not take at once; nothing is read before it has. */
struct unsent {
    char *bytes;
    size_t begin, end;
};

static char buffer[BUFFER];
static struct unsent unsent[DESCRIPTORS];

static void check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void watch(int epoll, int how, int descriptor, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = descriptor};
    check(epoll_ctl(epoll, how, descriptor, &event), "epoll_ctl");
}

static void end(int connection) {
    free(unsent[connection].bytes);
    unsent[connection] = (struct unsent){0};
    close(connection);
}

static void accept_all(int epoll, int listener) {
    int connection, on = 1;
    while ((connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (connection >= DESCRIPTORS) {
            close(connection);
            continue;
        }
        check(setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
        watch(epoll, EPOLL_CTL_ADD, connection, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED) check(-1, "accept4");
}

static void keep(int epoll, int connection, const char *bytes, size_t count) {
    char *kept = malloc(count);
    if (!kept) return end(connection);
    memcpy(kept, bytes, count);
    unsent[connection] = (struct unsent){kept, 0, count};
    watch(epoll, EPOLL_CTL_MOD, connection, EPOLLOUT);
}

static void echo(int epoll, int connection) {
    ssize_t count = recv(connection, buffer, BUFFER, 0);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) end(connection);
        return;
    }
    ssize_t sent = send(connection, buffer, count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return end(connection);
    if (sent < 0) sent = 0;
    if (sent < count) keep(epoll, connection, buffer + sent, count - sent);
}

static void send_rest(int epoll, int connection) {
    struct unsent *rest = &unsent[connection];
    ssize_t sent = send(connection, rest->bytes + rest->begin, rest->end - rest->begin, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) end(connection);
        return;
    }
    rest->begin += sent;
    if (rest->begin < rest->end) return;
    free(rest->bytes);
    *rest = (struct unsent){0};
    watch(epoll, EPOLL_CTL_MOD, connection, EPOLLIN);
}

int main(int count, char **arguments) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(listener, "socket");
    check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons(count > 1 ? atoi(arguments[1]) : 0);
    socklen_t size = sizeof address;
    check(bind(listener, (struct sockaddr *)&address, size), "bind");
    check(listen(listener, BACKLOG), "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    check(epoll, "epoll_create1");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) check(ready, "epoll_wait");
        for (int index = 0; index < ready; index++) {
            int descriptor = events[index].data.fd;
            if (descriptor == listener) accept_all(epoll, listener);
            else if (unsent[descriptor].bytes) send_rest(epoll, descriptor);
            else echo(epoll, descriptor);
        }
    }
}
