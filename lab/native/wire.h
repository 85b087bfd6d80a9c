/* Where a real-time process meets real interfaces: one packet socket for all of them.
 *
 * The process's ends of all veths lie in a network namespace of their own, so one socket that is
 * bound to no interface receives what comes out of any (the interface index tells which), and one
 * sends to any.  Receiving is a ring shared with the kernel, sending is batched: no system call
 * a frame.
 */
#ifndef LAB_WIRE_H
#define LAB_WIRE_H

#include <stdint.h>

#define WIRE_BATCH 512

typedef struct wire wire;

/* A ring of `frames` slots for frames of up to `frame_bytes` of one protocol (an ETH_P_ number; those
 * that are sent here do not come back); 0 and errno when refused. */
wire *wire_open(uint32_t frames, uint32_t frame_bytes, uint16_t protocol);
void wire_close(wire *w);
int wire_fd(const wire *w); /* readable when a frame has come */
/* The next frame received, valid until wire_release(); 0 when there is none. real_ns: realtime. */
const uint8_t *wire_next(wire *w, uint32_t *bytes, int *ifindex, int64_t *real_ns);
void wire_release(wire *w);
/* Put into the batch; `data` must stay until wire_flush(). Returns 1 when the batch is full. */
int wire_send(wire *w, int ifindex, const uint8_t *data, uint32_t bytes);
/* Send the batch; returns the number of frames that the kernel refused. */
int wire_flush(wire *w);
int64_t wire_drops(wire *w); /* frames the ring had no room for, since opened */

#endif
