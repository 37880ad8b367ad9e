/* New TCP connections a second. `connections serve ADDRESS PORT`; `connections ask ADDRESS PORT MILLISECONDS`.

   Prints how many were made, how many failed, and the client's CPU time in microseconds.
   A client holds 40 attempts in flight; each connection that is accepted is reset at once, so nothing waits for ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS 40

static struct sockaddr_in place(const char *address, const char *port)
{
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &found.sin_addr) != 1) {
        fprintf(stderr, "not an address: %s\n", address);
        exit(2);
    }
    return found;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int serve(struct sockaddr_in where)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int opened = accept(listener, NULL, NULL);
        if (opened >= 0)
            close(opened);
    }
}

static int begin(int poll, struct sockaddr_in where)
{
    struct linger reset = {1, 0};
    int opened = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(opened, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(opened, (struct sockaddr *)&where, sizeof where) && errno != EINPROGRESS) {
        close(opened);
        return -1;
    }
    struct epoll_event wish = {.events = EPOLLOUT, .data.fd = opened};
    epoll_ctl(poll, EPOLL_CTL_ADD, opened, &wish);
    return 0;
}

int main(int count, char **words)
{
    if (count == 4 && !strcmp(words[1], "serve"))
        return serve(place(words[2], words[3]));
    if (count != 5 || strcmp(words[1], "ask"))
        return 2;
    struct sockaddr_in where = place(words[2], words[3]);
    struct epoll_event seen[ATTEMPTS];
    int poll = epoll_create1(0), in_flight = 0;
    long done = 0, failed = 0, end = now_ms() + atol(words[4]);
    while (now_ms() < end) {
        while (in_flight < ATTEMPTS) {
            if (begin(poll, where))
                failed++;
            else
                in_flight++;
        }
        int ready = epoll_wait(poll, seen, ATTEMPTS, 100);
        for (int at = 0; at < ready; at++) {
            if (seen[at].events & (EPOLLERR | EPOLLHUP))
                failed++;
            else
                done++;
            close(seen[at].data.fd);
            in_flight--;
        }
    }
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("%ld %ld %ld\n", done, failed, used.tv_sec * 1000000 + used.tv_nsec / 1000);
    return 0;
}
