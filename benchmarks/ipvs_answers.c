/* Answers the kernel's part of IPVS over generic netlink, so that keepalived's healthchecker runs on a kernel without
 * IPVS: every change succeeds, every list is empty. Loaded with LD_PRELOAD; nothing else is touched.
 *
 *     gcc -shared -fPIC -O2 -o ipvs_answers.so ipvs_answers.c -ldl
 *
 * With the name of a FIFO in IPVS_ANSWERS_SAY, a byte is written there for each destination that is changed.
 *
 * Only sockets of NETLINK_GENERIC are watched. Each request of theirs is answered from here: the question for the
 * family IPVS with a number of our own, requests of that family with an acknowledgement or an empty list.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS 1024
#define FAMILY 0x7e
#define ROOM 512

static struct answers {
    unsigned char watched;
    size_t length;
    char data[ROOM];
} sockets[SOCKETS];

static struct answers *watched(int fd)
{
    return fd >= 0 && fd < SOCKETS && sockets[fd].watched ? &sockets[fd] : NULL;
}

int socket(int domain, int type, int protocol)
{
    static int (*real)(int, int, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "socket");
    int fd = real(domain, type, protocol);
    if (fd >= 0 && fd < SOCKETS) {
        memset(&sockets[fd], 0, sizeof sockets[fd]);
        sockets[fd].watched = domain == AF_NETLINK && protocol == NETLINK_GENERIC;
    }
    return fd;
}

int close(int fd)
{
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd < SOCKETS)
        sockets[fd].watched = 0;
    return real(fd);
}

static char *put(struct answers *to, const void *data, size_t length)
{
    size_t padded = (length + 3) & ~(size_t)3;
    if (to->length + padded > ROOM)
        return NULL;
    char *place = to->data + to->length;
    memset(place, 0, padded);
    memcpy(place, data, length);
    to->length += padded;
    return place;
}

static void attribute(struct answers *to, uint16_t type, const void *data, size_t length)
{
    struct nlattr head = {.nla_len = (uint16_t)(NLA_HDRLEN + length), .nla_type = type};
    put(to, &head, sizeof head);
    put(to, data, length);
}

/* Begin a message that answers `ask`; its length is filled in by `end`. */
static struct nlmsghdr *begin(struct answers *to, const struct nlmsghdr *ask, uint16_t type)
{
    struct nlmsghdr head = {.nlmsg_type = type, .nlmsg_seq = ask->nlmsg_seq, .nlmsg_pid = ask->nlmsg_pid};
    return (struct nlmsghdr *)put(to, &head, sizeof head);
}

static void end(struct answers *to, struct nlmsghdr *message)
{
    message->nlmsg_len = (uint32_t)(to->data + to->length - (char *)message);
}

static void say(void)
{
    const char *name = getenv("IPVS_ANSWERS_SAY");
    int fd = name ? open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (write(fd, "x", 1) < 0)
            errno = 0;
        close(fd);
    }
}

static void answer(struct answers *to, const struct nlmsghdr *ask)
{
    const struct genlmsghdr *command = NLMSG_DATA(ask);
    struct nlmsghdr *message = NULL;
    struct genlmsghdr head = {.cmd = command->cmd, .version = 1};
    if (ask->nlmsg_type == FAMILY && command->cmd == IPVS_CMD_SET_DEST)
        say();
    if (ask->nlmsg_type == GENL_ID_CTRL) {
        uint16_t family = FAMILY;
        head.cmd = CTRL_CMD_NEWFAMILY;
        if (!(message = begin(to, ask, GENL_ID_CTRL)))
            return;
        put(to, &head, sizeof head);
        attribute(to, CTRL_ATTR_FAMILY_ID, &family, sizeof family);
        attribute(to, CTRL_ATTR_FAMILY_NAME, "IPVS", 5);
        end(to, message);
    } else if (ask->nlmsg_flags & NLM_F_DUMP) {
        int done = 0;
        if ((message = begin(to, ask, NLMSG_DONE))) {
            message->nlmsg_flags = NLM_F_MULTI;
            put(to, &done, sizeof done);
            end(to, message);
        }
        return;
    } else if (command->cmd == IPVS_CMD_GET_INFO) {
        uint32_t version = 0x010201, size = 4096;
        head.cmd = IPVS_CMD_SET_INFO;
        if (!(message = begin(to, ask, FAMILY)))
            return;
        put(to, &head, sizeof head);
        attribute(to, IPVS_INFO_ATTR_VERSION, &version, sizeof version);
        attribute(to, IPVS_INFO_ATTR_CONN_TAB_SIZE, &size, sizeof size);
        end(to, message);
    } else if (command->cmd == IPVS_CMD_GET_CONFIG) {
        uint32_t seconds = 900;
        head.cmd = IPVS_CMD_SET_CONFIG;
        if (!(message = begin(to, ask, FAMILY)))
            return;
        put(to, &head, sizeof head);
        for (uint16_t type = IPVS_CMD_ATTR_TIMEOUT_TCP; type <= IPVS_CMD_ATTR_TIMEOUT_UDP; type++)
            attribute(to, type, &seconds, sizeof seconds);
        end(to, message);
    }
    if (ask->nlmsg_flags & NLM_F_ACK) {
        struct nlmsgerr error = {.error = 0, .msg = *ask};
        if ((message = begin(to, ask, NLMSG_ERROR))) {
            put(to, &error, sizeof error);
            end(to, message);
        }
    }
}

static void take(struct answers *to, const char *data, size_t length)
{
    const struct nlmsghdr *ask = (const struct nlmsghdr *)data;
    for (; NLMSG_OK(ask, length); ask = NLMSG_NEXT(ask, length))
        answer(to, ask);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    struct answers *to = watched(fd);
    if (!real)
        real = dlsym(RTLD_NEXT, "sendmsg");
    if (!to || message->msg_iovlen != 1)
        return real(fd, message, flags);
    take(to, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
    return (ssize_t)message->msg_iov[0].iov_len;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, struct msghdr *, int);
    struct answers *to = watched(fd);
    if (!real)
        real = dlsym(RTLD_NEXT, "recvmsg");
    if (!to)
        return real(fd, message, flags);
    if (!to->length) {
        errno = EAGAIN;
        return -1;
    }
    /* The kernel sends each message by itself. */
    size_t length = NLMSG_ALIGN(((struct nlmsghdr *)to->data)->nlmsg_len), room = message->msg_iov[0].iov_len;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (message->msg_name && message->msg_namelen >= sizeof kernel) {
        memcpy(message->msg_name, &kernel, sizeof kernel);
        message->msg_namelen = sizeof kernel;
    }
    message->msg_controllen = 0;
    message->msg_flags = length > room ? MSG_TRUNC : 0;
    memcpy(message->msg_iov[0].iov_base, to->data, length < room ? length : room);
    if (!(flags & MSG_PEEK)) {
        to->length -= length;
        memmove(to->data, to->data + length, to->length);
    }
    return (ssize_t)(flags & MSG_TRUNC ? length : length < room ? length : room);
}
