/* A model server that gives every request the same reply of 1 kB, so that a benchmark measures its client alone.
 *
 *   cc -O2 -o mock_model mock_model.c && ./mock_model
 *
 * It listens on a free port of the loopback interface, prints the port, and ends when its standard input does. It speaks
 * as much HTTP/1.1 as clients of chat completions need: connections stay open, a request's body has a length or is
 * chunked and ends with an empty chunk. One process, one thread, poll(2).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CLIENTS = 1024, REQUEST_BYTES = 1 << 18, TEXT_BYTES = 700 };

struct client {
    size_t filled;
    char request[REQUEST_BYTES + 1];
};

static char reply[2048];
static size_t reply_bytes;

static void make_reply(void) {
    char text[TEXT_BYTES + 1], body[1536];
    for (size_t i = 0; i < TEXT_BYTES; i++) text[i] = "All is well. "[i % 13];
    text[TEXT_BYTES] = 0;
    int length = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"gpt-4o-mini\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":140,\"total_tokens\":152}}", text);
    reply_bytes = (size_t)snprintf(reply, sizeof reply,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
}

/* The bytes of the first request in the buffer, 0 while it is not complete. */
static size_t whole_request(const char *request) {
    const char *head_end = strstr(request, "\r\n\r\n");
    if (!head_end) return 0;
    size_t head = (size_t)(head_end - request) + 4;
    const char *length = strcasestr(request, "\r\ncontent-length:");
    if (length && length < head_end) {
        size_t whole = head + strtoul(length + 17, NULL, 10);
        return strlen(request) >= whole ? whole : 0;
    }
    const char *chunked = strcasestr(request, "\r\ntransfer-encoding: chunked");
    if (!chunked || chunked > head_end) return head;
    const char *last = strstr(request + head, "0\r\n\r\n");
    return last ? (size_t)(last - request) + 5 : 0;
}

/* Answers every whole request of a client. 0 when the connection is over. */
static int serve(int socket, struct client *client) {
    ssize_t got = read(socket, client->request + client->filled, REQUEST_BYTES - client->filled);
    if (got <= 0) return 0;
    client->filled += (size_t)got;
    client->request[client->filled] = 0;
    for (size_t whole; (whole = whole_request(client->request)) != 0;) {
        if (write(socket, reply, reply_bytes) != (ssize_t)reply_bytes) return 0;
        client->filled -= whole;
        memmove(client->request, client->request + whole, client->filled + 1);
    }
    return client->filled < REQUEST_BYTES;
}

int main(void) {
    static struct pollfd polled[MOST_CLIENTS + 2];
    static struct client *clients[MOST_CLIENTS + 2];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, MOST_CLIENTS) ||
        getsockname(listener, (struct sockaddr *)&address, &size)) {
        perror("mock_model");
        return 1;
    }
    make_reply();
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    polled[0] = (struct pollfd){.fd = 0, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = listener, .events = POLLIN};
    nfds_t count = 2;
    while (poll(polled, count, -1) >= 0) {
        char ignored[64];
        if (polled[0].revents && read(0, ignored, sizeof ignored) <= 0) return 0;
        for (nfds_t i = count; i-- > 2;) { /* from the back: the last one takes the place of one that goes */
            if (!polled[i].revents || serve(polled[i].fd, clients[i])) continue;
            close(polled[i].fd);
            free(clients[i]);
            polled[i] = polled[--count];
            clients[i] = clients[count];
        }
        if (!polled[1].revents) continue;
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) continue;
        struct client *client = count < MOST_CLIENTS + 2 ? calloc(1, sizeof *client) : NULL;
        if (!client) {
            close(socket);
            continue;
        }
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        polled[count] = (struct pollfd){.fd = socket, .events = POLLIN};
        clients[count++] = client;
    }
    return 1;
}
