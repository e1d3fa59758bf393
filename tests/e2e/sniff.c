/* tests/e2e/sniff.c: writes what passes from or to a port over the loopback interface into a file until SIGTERM.
 *
 *   sniff FILE PORT     prints "ready" once it listens; exit 77 where the system does not allow it
 *
 * A packet socket sees every frame of every process, so what a test does not find in the file did not travel. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static int listen_on_loopback(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    if (fd < 0) return -1;
    int room = 64 << 20; /* nothing may be lost between two reads */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    address.sll_ifindex = (int)if_nametoindex("lo");
    if (address.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* IPv4 over Ethernet; source and destination port lie alike in TCP and UDP. */
static int has_port(const unsigned char *frame, size_t len, unsigned port)
{
    if (len < 14 + 20 + 4 || frame[12] != 8 || frame[13] != 0) return 0;
    size_t at = 14 + 4u * (frame[14] & 15);
    if (len < at + 4) return 0;
    unsigned from = (unsigned)frame[at] << 8 | frame[at + 1], to = (unsigned)frame[at + 2] << 8 | frame[at + 3];
    return from == port || to == port;
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    unsigned port = (unsigned)strtoul(argv[2], NULL, 10);
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: recv must return */
    sigaction(SIGTERM, &action, NULL);
    int fd = listen_on_loopback();
    if (fd < 0) {
        fprintf(stderr, "sniff: %s\n", strerror(errno));
        return 77;
    }
    FILE *out = fopen(argv[1], "wb");
    if (!out) return 1;
    setvbuf(out, NULL, _IONBF, 0); /* whoever waits for a frame sees it at once */
    /* A signal that comes just before recv is seen a moment later. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 100000}, sizeof(struct timeval));
    puts("ready");
    fflush(stdout);
    static unsigned char frame[1 << 18];
    while (!stop) {
        ssize_t len = recv(fd, frame, sizeof frame, 0);
        if (len <= 0 || !has_port(frame, (size_t)len, port)) continue;
        if (fwrite(frame, 1, (size_t)len, out) != (size_t)len) return 1;
    }
    fclose(out);
    close(fd);
    return 0;
}
