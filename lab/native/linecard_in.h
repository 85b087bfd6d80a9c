/* What the parts of the line cards share; see linecard.h. */
#ifndef LAB_LINECARD_IN_H
#define LAB_LINECARD_IN_H

#include <time.h>

#include "events.h"
#include "linecard.h"
#include "observe.h"
#include "wire.h"

/* On the wire: Ethernet, one MPLS entry whose label is the VCI, then this, then the cells' payload. */
typedef struct __attribute__((packed)) {
    uint8_t kind;      /* FAB_DATA, FAB_CELL_QUENCH, FAB_CELL_UNQUENCH */
    uint8_t last;      /* the frame ends its message */
    uint16_t cells;    /* in this frame */
    uint32_t message_cells;
    uint32_t index;    /* of the frame in its message, from 0 */
    uint32_t number;   /* of the message on its VC, from 0 in every pass */
    uint32_t seq;      /* ... and on the endpoint's channel */
    uint32_t about_vc; /* control cells: which VC, ... */
    uint32_t about_hop; /* ... and which of its queues */
    uint32_t magic;
    uint32_t pass;     /* frames of an earlier pass do not count in this one */
    int64_t sent_ns;   /* virtual: when the message entered the network */
    int64_t due_ns;    /* virtual: when its first cell reaches the present switch */
    int64_t handed_ns; /* monotonic clock: when it was put into that switch */
} pdu;

#define PDU_MAGIC 0x4c414250u
#define PDU_AT 18 /* 14 Ethernet + 4 MPLS */
#define PAYLOAD_AT (PDU_AT + (uint32_t)sizeof(pdu))

enum {
    LC_EV_DONE,     /* of a port's transmission */
    LC_EV_ARRIVE,   /* a frame enters the queue behind the switch that it came through */
    LC_EV_DELIVER,  /* a frame has reached a host */
    LC_EV_SENT,     /* a host's processor has done with a VC's next frame */
    LC_EV_RECEIVED, /* ... or with a frame that has come */
    LC_EV_FEED,     /* the time before which a message was not to be sent */
    LC_EV_HOLD
};

typedef struct {
    int own_ifindex, far_ifindex;
    uint32_t *vc_of_label; /* queue index + 1 by label; 0: no VC */
    uint32_t labels;
} lc_port;

/* One direction of a VC at its two adapters. */
typedef struct {
    uint32_t endpoint, channel;       /* where its messages come from */
    uint32_t to_endpoint, to_channel; /* where they go */
    /* segmentation */
    uint32_t numbered;                /* messages taken */
    uint32_t at_processor, at_processor_last; /* frames of one that are not worked off, in order */
    int64_t room_ns;                  /* when the window last had room again */
    int64_t takeable_ns;              /* when the last message could have been taken */
    int64_t feed_ns;                  /* time of the LC_EV_FEED that is to come */
    /* reassembly */
    uint32_t expected;                /* number of the message being put together */
    uint32_t next_index;              /* of its next frame */
    uint32_t first, last;             /* its frames so far */
    uint32_t crc;
    uint8_t spoilt;                   /* a frame of it is missing: it is counted, the rest dropped */
} lc_vc;

struct lc {
    fab *f;
    lc_options o;
    lc_inputs in;
    evq events;
    wire *wire;
    lc_port *port;
    lc_vc *vc;
    lc_vc_totals *totals; /* by vc */
    uint32_t *label;      /* by queue: on the link out of its port */
    int64_t *node_in, *node_out;
    int64_t *processor_free_ns; /* by node: a host's adapter is busy until then */
    int processors;       /* they cost something */
    int starved;          /* a message waits for frames of the pool */
    uint32_t held;        /* frames that wait for the rest of their message */
    uint64_t drawn;       /* decisions of planned loss */
    unet_part *piece;     /* of the message being delivered */
    uint32_t pieces;
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
    int64_t end_ns;       /* virtual time goes no further */
    int announced;        /* endpoints know the epoch */
    uint32_t pass_number;
    int64_t at_ns;        /* virtual time of the event being handled */
    int64_t now_ns;       /* virtual time of the batch */
    int64_t heard_ns;     /* real: last frame from a switch */
    int64_t sample_ns, next_sample_ns;
    port_totals *sampled; /* by port, at the last sample */
    lateness_row late;
    double late_sum_us, cross_sum_us, excess_sum_ns;
    int64_t stamp_ns;             /* monotonic: when the frame being received was put out */
    series series[LC_SERIES];
    lc_stats stats;
};

/* linecard_build.c */
void lc_set_inputs(lc *l, const lc_inputs *in);

/* linecard.c */
int64_t lc_virtual_ns(const lc *l, int64_t mono_ns); /* as if the pass had no end */
int64_t lc_present_ns(const lc *l, int64_t mono_ns);

/* sar.c */
/* Take what may be taken from send queues, and say whether the process need ring for more. */
void lc_feed_endpoint(lc *l, uint32_t endpoint);
void lc_feed_source(lc *l, uint32_t vc); /* the endpoint that a VC begins at */
void lc_feed_all(lc *l);
int lc_window_full(const lc *l, uint32_t vc);
void lc_worked_off(lc *l, uint32_t vc);                 /* the processor: its next frame to send */
void lc_take_in(lc *l, uint32_t frame);                 /* ... a frame that has come */
/* The length that a message's trailer gives, or -1 when so many cells cannot hold it. */
int64_t lc_message_bytes(const lc *l, uint32_t last_frame, uint32_t cells);
void lc_forget_message(lc *l, uint32_t vc);             /* of which only a part has come */
lc_vc lc_idle_vc(const lc_vc *x);                       /* between the same endpoints */

/* traffic.c */
void lc_write_pdu(lc *l, uint32_t frame, uint32_t label, uint32_t class, pdu p);
void lc_receive(lc *l, const uint8_t *data, uint32_t bytes, int ifindex);
void lc_arrive(lc *l, uint32_t frame);
void lc_reach_host(lc *l, uint32_t frame, uint32_t port);
void lc_settle(lc *l);
void lc_flush(lc *l);
void lc_touch(lc *l, uint32_t endpoint);

/* lateness.c */
void lc_observe_event(lc *l, int32_t kind, uint32_t port, uint32_t vc, uint32_t hop);
void lc_observe_late(lc *l, int64_t late_ns);
void lc_observe_crossing(lc *l, int64_t real_ns, int64_t excess_ns);
void lc_observe_sample(lc *l);

static inline int64_t lc_clock_ns(clockid_t which) {
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Virtual time stands still: what was to begin by now has begun, and nothing more will. */
static inline int lc_over(const lc *l) { return l->at_ns >= l->end_ns; }

static inline uint8_t *lc_bytes(const lc *l, uint32_t frame) {
    return l->bytes + (size_t)frame * l->slot_bytes;
}

#endif
