/* An echo server on libuv, as its users who look for speed write it: one buffer for all connections, and what was
 * read is written at once; only what the socket does not take is copied and queued, and nothing is read before it
 * has left.
 *
 *     uv_echo [PORT]       prints "listening on 127.0.0.1:PORT"; 0 or nothing picks a free port
 *     uv_echo --version
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER = 64 * 1024, BACKLOG = 4096 };

static char buffer[BUFFER];

/* What is queued: the request that libuv wants, and the bytes behind it. */
struct unsent {
    uv_write_t request;
    char bytes[];
};

static void check(int status, const char *what) {
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
        exit(1);
    }
}

static void freed(uv_handle_t *connection) {
    free(connection);
}

static void end(uv_stream_t *connection) {
    if (!uv_is_closing((uv_handle_t *)connection)) uv_close((uv_handle_t *)connection, freed);
}

static void lend_buffer(uv_handle_t *connection, size_t suggested, uv_buf_t *lent) {
    (void)connection, (void)suggested;
    *lent = uv_buf_init(buffer, BUFFER);
}

static void received(uv_stream_t *connection, ssize_t count, const uv_buf_t *data);

static void rest_sent(uv_write_t *request, int status) {
    uv_stream_t *connection = request->handle;
    free(request->data);
    if (status < 0) end(connection);
    else if (!uv_is_closing((uv_handle_t *)connection)) uv_read_start(connection, lend_buffer, received);
}

static void received(uv_stream_t *connection, ssize_t count, const uv_buf_t *data) {
    if (count == 0) return; /* there was nothing after all */
    if (count < 0) {
        end(connection);
        return;
    }
    uv_buf_t answer = uv_buf_init(data->base, (unsigned)count);
    int sent = uv_try_write(connection, &answer, 1);
    if (sent == UV_EAGAIN) sent = 0;
    if (sent < 0) {
        end(connection);
        return;
    }
    if (sent == count) return;

    size_t left = (size_t)(count - sent);
    struct unsent *unsent = malloc(sizeof *unsent + left);
    if (!unsent) abort();
    memcpy(unsent->bytes, data->base + sent, left);
    unsent->request.data = unsent;
    answer = uv_buf_init(unsent->bytes, (unsigned)left);
    uv_read_stop(connection);
    check(uv_write(&unsent->request, connection, &answer, 1, rest_sent), "write");
}

static void connected(uv_stream_t *listener, int status) {
    if (status < 0) return; /* it was given up before it was accepted */
    uv_tcp_t *connection = malloc(sizeof *connection);
    if (!connection) abort();
    check(uv_tcp_init(listener->loop, connection), "connection");
    if (uv_accept(listener, (uv_stream_t *)connection) < 0) {
        end((uv_stream_t *)connection);
        return;
    }
    uv_tcp_nodelay(connection, 1);
    uv_read_start((uv_stream_t *)connection, lend_buffer, received);
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "--version") == 0) {
        puts(uv_version_string());
        return 0;
    }
    signal(SIGPIPE, SIG_IGN); /* libuv leaves it as it is: who has gone would end the server */
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in address;
    int length = sizeof address;
    uv_tcp_t listener;
    check(uv_ip4_addr("127.0.0.1", count > 1 ? atoi(arguments[1]) : 0, &address), "address");
    check(uv_tcp_init(loop, &listener), "listener");
    check(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), "bind");
    check(uv_listen((uv_stream_t *)&listener, BACKLOG, connected), "listen");
    check(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length), "name");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
