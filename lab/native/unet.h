/* U-Net (thesis 2.3): the network interface's side of an endpoint's shared-memory segment.
 *
 * A segment holds a communication area (the buffers) and three rings: send and free, filled by the
 * process and emptied here; receive, filled here and emptied by the process.  Each ring has one
 * writer and one reader; heads and tails are counters that run freely modulo 2^32.
 *
 * The process may write anything anywhere in its segment.  So sizes, offsets and the own counters
 * are kept here privately, and every descriptor is checked against them: a process can spoil its
 * own traffic, but reach no memory, channel or endpoint that was not given to it.
 */
#ifndef LAB_UNET_H
#define LAB_UNET_H

#include <stdint.h>

#define UNET_MAGIC 0x54454e55
#define UNET_VERSION 1
#define UNET_INJECTED 1
#define UNET_INLINE 2
#define UNET_REJECTED 4
#define UNET_GATHER 8
#define UNET_INLINE_BYTES 40
#define UNET_MAX_PARTS 11
#define UNET_MAX_MESSAGE_BYTES 65536
#define UNET_MAX_CHANNELS 64
#define UNET_NEVER 0xffffffff

typedef struct {
    uint32_t magic, version, segment_bytes, buffers_offset, buffer_bytes, n_buffers;
    uint32_t send_slots, recv_slots, free_slots, send_offset, recv_offset, free_offset;
    uint8_t pad0[0x40 - 0x30];
    uint64_t epoch_ns;
    double dilation;
    uint32_t pass_number, ni_idle;
    uint8_t pad1[0x80 - 0x58];
    uint32_t send_head;
    uint8_t pad2[0x3c];
    uint32_t send_tail;
    uint8_t pad3[0x3c];
    uint32_t recv_head;
    uint8_t pad4[0x3c];
    uint32_t recv_tail;
    uint8_t pad5[0x3c];
    uint32_t free_head;
    uint8_t pad6[0x3c];
    uint32_t free_tail;
    uint8_t pad7[0x3c];
    uint32_t send_wake_at, recv_wake_at, recv_wake_us, almost_full_at;
    uint8_t pad8[0x30];
    uint64_t sent_msgs, sent_bytes, recv_msgs, recv_bytes;
    uint64_t drop_no_buffer, drop_recv_full, rejected;
} unet_header;

/* From `place` on lie the data of a message that travels in its descriptor (INLINE), or offset and
 * length of each part of one in several places (GATHER).  To be sent: time_ns is the virtual time
 * before which the message must not be taken, 0 for none. */
typedef struct {
    uint32_t channel, length, offset, flags;
    uint64_t sent_ns, time_ns;
    uint32_t seq, parts;
    uint32_t place[22];
} unet_descriptor;

typedef struct {
    uint32_t id;   /* what the process calls it */
    uint32_t vc;   /* the fabric's VC that it sends on */
    uint32_t next_seq;
} unet_channel;

typedef struct {
    uint8_t *segment;
    uint32_t segment_bytes, buffers_offset, buffer_bytes;
    uint32_t send_slots, recv_slots, free_slots, send_offset, recv_offset, free_offset;
    uint32_t send_tail, recv_head, free_tail;
    uint8_t *taken;                                  /* a flag a send slot: out of order injected */
    uint32_t channels;
    unet_channel channel[UNET_MAX_CHANNELS];
    int32_t doorbell, wake;                          /* eventfds; -1 when no process is attached */
    uint64_t sent_msgs, sent_bytes, recv_msgs, recv_bytes;
    uint64_t drop_no_buffer, drop_recv_full, rejected;
    uint64_t wakes;
    int64_t pending_since_ns;                        /* real time; 0: nothing unread to tell of */
    uint8_t touched;                                 /* already on the driver's wake list */
} unet_ni;

typedef struct {
    const uint8_t *at;
    uint32_t bytes;
} unet_part;

typedef struct {
    unet_part part[UNET_MAX_PARTS];
    uint32_t parts, length, seq, slot;
    int64_t not_before_ns;
} unet_message;

/* Map a segment of that size and layout (already sealed against shrinking); 0 on success. */
int unet_attach(unet_ni *ni, int memfd, int doorbell, int wake);
void unet_detach(unet_ni *ni);
int unet_open_channel(unet_ni *ni, uint32_t id, uint32_t vc);
void unet_close_channel(unet_ni *ni, uint32_t id);

/* The next message of channel index `c` that waits in the send queue; 0 when there is none.
 * Descriptors that are not the process's to use, or ask for a time after `latest_ns`, are flagged
 * REJECTED, counted and passed over. */
int unet_next(unet_ni *ni, uint32_t c, int64_t latest_ns, unet_message *m);
/* The message is in the network: mark its descriptor, free leading slots, count. */
void unet_injected(unet_ni *ni, uint32_t c, const unet_message *m, int64_t now_ns);
/* Put a message that lies in pieces into the receive queue and as many free buffers as it takes;
 * 0, or -1 when it had to be dropped.  It gets all the buffers it needs or none. */
int unet_deliver(unet_ni *ni, uint32_t channel, const unet_part *piece, uint32_t length,
                 uint32_t seq, int64_t sent_ns, int64_t now_ns);
/* Wake the process if what it waits for has come true; real_ns: monotonic clock. */
int unet_wake_if_due(unet_ni *ni, int64_t real_ns);
/* When that becomes true by the passing of time alone; INT64_MAX: never. */
int64_t unet_wake_deadline(const unet_ni *ni);
/* Say whether a push needs the doorbell; returns 1 when something was pushed meanwhile. */
int unet_set_idle(unet_ni *ni, int idle);

#endif
