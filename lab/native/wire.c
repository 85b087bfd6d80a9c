/* See wire.h. */
#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire {
    int rx, tx;
    uint8_t *ring;
    size_t ring_bytes;
    uint32_t frames, frame_bytes, per_block, block_bytes, at;
    int64_t drops;
    int pending;
    struct mmsghdr message[WIRE_BATCH];
    struct iovec part[WIRE_BATCH];
    struct sockaddr_ll to[WIRE_BATCH];
};

static int open_ring(wire *w, uint32_t frames, uint32_t frame_bytes, uint16_t protocol) {
    int version = TPACKET_V2, one = 1;
    setsockopt(w->rx, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    if (setsockopt(w->rx, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0) return -1;
    w->frame_bytes = (frame_bytes + 128 + TPACKET_ALIGNMENT - 1) & ~(TPACKET_ALIGNMENT - 1u);
    w->block_bytes = 1 << 16;
    w->per_block = w->block_bytes / w->frame_bytes;
    uint32_t blocks = (frames + w->per_block - 1) / w->per_block;
    w->frames = blocks * w->per_block;
    struct tpacket_req req = {.tp_block_size = w->block_bytes,
                              .tp_block_nr = blocks,
                              .tp_frame_size = w->frame_bytes,
                              .tp_frame_nr = w->frames};
    if (setsockopt(w->rx, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) < 0) return -1;
    w->ring_bytes = (size_t)w->block_bytes * blocks;
    w->ring = mmap(0, w->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->rx, 0);
    if (w->ring == MAP_FAILED) {
        w->ring = 0;
        return -1;
    }
    struct sockaddr_ll any = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
    return bind(w->rx, (struct sockaddr *)&any, sizeof any);
}

wire *wire_open(uint32_t frames, uint32_t frame_bytes, uint16_t protocol) {
    wire *w = calloc(1, sizeof *w);
    if (!w) return 0;
    w->rx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    w->tx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    int one = 1, buffer = 1 << 24;
    if (w->rx < 0 || w->tx < 0 || open_ring(w, frames, frame_bytes, protocol) < 0) {
        int error = errno;
        wire_close(w);
        errno = error;
        return 0;
    }
    /* a queueing discipline would only cost time: the process is the queue */
    setsockopt(w->tx, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(w->tx, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    for (int i = 0; i < WIRE_BATCH; i++) {
        w->to[i] = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
        w->message[i].msg_hdr = (struct msghdr){.msg_name = &w->to[i],
                                                .msg_namelen = sizeof w->to[i],
                                                .msg_iov = &w->part[i],
                                                .msg_iovlen = 1};
    }
    return w;
}

void wire_close(wire *w) {
    if (!w) return;
    if (w->ring) munmap(w->ring, w->ring_bytes);
    if (w->rx >= 0) close(w->rx);
    if (w->tx >= 0) close(w->tx);
    free(w);
}

int wire_fd(const wire *w) { return w->rx; }

static struct tpacket2_hdr *slot(const wire *w) {
    size_t block = w->at / w->per_block, in_block = w->at % w->per_block;
    return (struct tpacket2_hdr *)(w->ring + block * w->block_bytes + in_block * w->frame_bytes);
}

const uint8_t *wire_next(wire *w, uint32_t *bytes, int *ifindex, int64_t *real_ns) {
    struct tpacket2_hdr *h = slot(w);
    if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return 0;
    const struct sockaddr_ll *from =
        (const void *)((uint8_t *)h + TPACKET_ALIGN(sizeof(struct tpacket2_hdr)));
    *ifindex = from->sll_ifindex;
    *real_ns = (int64_t)h->tp_sec * 1000000000 + h->tp_nsec;
    *bytes = h->tp_snaplen == h->tp_len ? h->tp_len : 0; /* cut short: as good as nothing */
    return (const uint8_t *)h + h->tp_mac;
}

void wire_release(wire *w) {
    __atomic_store_n(&slot(w)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    if (++w->at == w->frames) w->at = 0;
}

int wire_send(wire *w, int ifindex, const uint8_t *data, uint32_t bytes) {
    int i = w->pending++;
    w->to[i].sll_ifindex = ifindex;
    w->part[i] = (struct iovec){.iov_base = (void *)data, .iov_len = bytes};
    return w->pending == WIRE_BATCH;
}

int wire_flush(wire *w) {
    int done = 0, refused = 0;
    while (done < w->pending) {
        int n = sendmmsg(w->tx, w->message + done, (unsigned)(w->pending - done), 0);
        if (n > 0) {
            done += n;
        } else if (errno != EINTR) { /* the first of the rest is the one refused */
            refused++;
            done++;
        }
    }
    w->pending = 0;
    return refused;
}

int64_t wire_drops(wire *w) {
    struct tpacket_stats s;
    socklen_t size = sizeof s;
    if (getsockopt(w->rx, SOL_PACKET, PACKET_STATISTICS, &s, &size) == 0) w->drops += s.tp_drops;
    return w->drops;
}
