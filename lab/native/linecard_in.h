/* What the parts of the line cards share; see linecard.h. */
#ifndef LAB_LINECARD_IN_H
#define LAB_LINECARD_IN_H

#include <time.h>

#include "events.h"
#include "linecard.h"
#include "observe.h"
#include "wire.h"

/* On the wire: Ethernet, one MPLS entry whose label is the VCI, then this. */
typedef struct __attribute__((packed)) {
    uint8_t kind;      /* FAB_DATA, FAB_CELL_QUENCH, FAB_CELL_UNQUENCH */
    uint8_t about_hop; /* control cells: which queue, ... */
    uint16_t length;   /* payload bytes that follow */
    uint32_t about_vc; /* ... and of which VC */
    uint32_t seq;
    uint32_t magic;
    uint32_t pass;     /* frames of an earlier pass do not count in this one */
    int64_t sent_ns;   /* virtual: when the message entered the network */
    int64_t handed_ns; /* monotonic clock: when it was put into the present switch */
} pdu;

#define PDU_MAGIC 0x4c414250u
#define PDU_AT 18 /* 14 Ethernet + 4 MPLS */
#define PAYLOAD_AT (PDU_AT + (uint32_t)sizeof(pdu))

enum { LC_EV_DONE, LC_EV_DELIVER, LC_EV_HOLD };

typedef struct {
    int own_ifindex, far_ifindex;
    uint32_t *vc_of_label; /* queue index + 1 by label; 0: no VC */
    uint32_t labels;
} lc_port;

typedef struct {
    uint32_t endpoint, channel;        /* where its messages come from */
    uint32_t to_endpoint, to_channel;  /* where they go */
} lc_vc;

struct lc {
    fab *f;
    lc_options o;
    evq events;
    wire *wire;
    lc_port *port;
    lc_vc *vc;
    lc_vc_totals *totals; /* by vc */
    uint32_t *label;      /* by queue: on the link out of its port */
    int64_t *node_in, *node_out;
    uint32_t *port_of_ifindex;
    uint32_t ifindices;
    uint8_t *bytes;       /* frame contents, one slot a frame of the model's pool */
    uint32_t slot_bytes;
    uint32_t *size;       /* by frame */
    uint32_t outgoing[WIRE_BATCH];
    uint32_t outgoings;
    unet_ni *endpoint;
    uint32_t endpoints;
    uint32_t *touched;    /* endpoints that may have to be woken */
    uint32_t touches;
    int epoll;
    int64_t epoch_ns;     /* monotonic clock of virtual 0 */
    int announced;        /* endpoints know the epoch */
    uint32_t pass_number;
    int64_t at_ns;        /* virtual time of the event being handled */
    int64_t now_ns;       /* virtual time of the batch */
    int64_t heard_ns;     /* real: last frame from a switch */
    int64_t sample_ns, next_sample_ns;
    port_totals *sampled; /* by port, at the last sample */
    lateness_row late;
    double late_sum_us, cross_sum_us;
    int64_t stamp_ns;             /* monotonic: when the frame being received was put out */
    series series[LC_SERIES];
    lc_stats stats;
};

/* traffic.c */
void lc_feed(lc *l, uint32_t vc);
void lc_feed_endpoint(lc *l, uint32_t endpoint);
void lc_receive(lc *l, const uint8_t *data, uint32_t bytes, int ifindex);
void lc_deliver(lc *l, uint32_t frame, uint32_t port);
void lc_settle(lc *l);
void lc_flush(lc *l);
void lc_touch(lc *l, uint32_t endpoint);

/* lateness.c */
void lc_observe_event(lc *l, int32_t kind, uint32_t port, uint32_t vc, uint32_t hop);
void lc_observe_late(lc *l, int64_t late_virtual_ns);
void lc_observe_crossing(lc *l, int64_t real_ns);
void lc_observe_sample(lc *l);

static inline int64_t lc_clock_ns(clockid_t which) {
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline uint8_t *lc_bytes(lc *l, uint32_t frame) {
    return l->bytes + (size_t)frame * l->slot_bytes;
}

#endif
