/* The simulator: the fabric model driven by an event queue, in virtual time; no clock, no network.
 *
 * Traffic is what the endpoint programs of an emulation do: sources that follow a list of changes
 * (silent, greedy, or paced messages of some size) through a send queue, sinks that take
 * everything, pings and the echoes that answer them.  Quench cells travel back hop by hop on the
 * reverse VC, as cells of priority.  Everything follows from the parameters and two seeds: one that
 * orders simultaneous events (events.h), one that decides which cells a planned loss hits.
 */
#ifndef LAB_VIRTUAL_H
#define LAB_VIRTUAL_H

#include "agenda.h"
#include "measure.h"
#include "model.h"
#include "ni.h"
#include "observe.h"
#include "series.h"

#define VD_SEND_SLOTS 64

/* What went wrong for good, in vd.broken; positive: the rule of fab_check() that is broken. */
#define VD_OVERFLOW 1000  /* a switch's memory had no room */
#define VD_NO_FRAMES 1001 /* the pool of frames is empty */

typedef struct {
    int64_t t_ns;
    double interval_ns; /* between two messages; 0: greedy, below 0: silent */
    int64_t bytes;
} vd_change;

typedef struct {
    double cell_loss, cell_corruption, control_loss;
    uint64_t seed;
} vd_loss;

typedef struct {
    int64_t switch_latency_ns;
    int32_t window;          /* messages of a VC that an adapter works on at a time */
    int32_t frame_cells;     /* a message moves as frames of up to so many cells */
    int32_t cell_payload_bytes, trailer_bytes;
    int64_t patience_ns;     /* a ping whose echo takes longer was lost */
    uint64_t tie_seed;
    ni_costs costs;
    vd_loss loss;
} vd_options;

/* A message between the adapters.  It lives as long as one of its frames does. */
typedef struct {
    int64_t sent_ns;
    int64_t bytes;
    uint32_t number;        /* of its VC */
    uint32_t frames;        /* that still exist */
    uint32_t next_free;
} vd_message;

/* One VC's way out of a host: the send queue, and the message that is being cut into frames. */
typedef struct {
    int64_t bytes[VD_SEND_SLOTS], accepted_ns[VD_SEND_SLOTS];
    uint32_t head, tail;
    uint32_t number;        /* of the next message */
    int32_t in_adapter;     /* messages taken whose last frame has not left */
    uint32_t message;       /* being cut, or FAB_NONE */
    int32_t cells_left;
    uint32_t part;
} vd_sender;

/* One VC's way into a host: reassembly. */
typedef struct {
    uint32_t number;        /* of the message expected */
    uint32_t part;          /* of it */
    uint8_t missing, damaged;
} vd_reassembly;

/* A stream, on its forward VC. */
typedef struct {
    vd_change *change;
    int32_t changes, at;    /* the present one; -1 before the first */
    uint8_t used, echo, blocked, waiting, over;
    int64_t end_ns, host_send_ns, host_receive_ns;
    double phase, base_ns;  /* paced: message 0 of the count is due at base_ns */
    int64_t taken;
    uint32_t generation;    /* of the pacing: what was scheduled before does not count */
    int64_t want_ns;        /* ping: when it wanted to send what it waits for */
    uint32_t awaited;       /* ... and the number of that message */
    uint8_t patience_timer;
    measure end[2];         /* at the source, at the sink */
    int64_t unanswered, blocked_ns, blocked_since_ns;
} vd_flow;

typedef struct {
    int64_t messages_sent, messages_received;
    int64_t pdu_discarded_missing, pdu_discarded_crc;
    int64_t frames_sent, frames_arrived, frame_hops, cell_hops;
    int64_t cells_lost_on_purpose, frames_lost_on_purpose;
    int64_t cells_corrupted_on_purpose, control_lost_on_purpose;
    int64_t overflow;
    int64_t control_sent, control_arrived;
    int64_t quenches, unquenches, stops, goes, hold_expired;
    int64_t pings_unanswered;
} vd_counters;

enum { VD_QUEUES = 0, VD_EVENTS, VD_LINKS, VD_SERIES };

typedef struct {
    fab *f;
    vd_options o;
    agenda events;
    vd_flow *flow;             /* by VC, those with .used */
    vd_sender *sender;         /* by VC */
    vd_reassembly *reassembly; /* by VC */
    uint32_t *flow_of;         /* by VC: the stream that it carries, either way */
    vd_message *message;
    uint32_t messages, free_message;
    int64_t *ni_free_ns;       /* by node */
    int64_t *node_in, *node_out;
    double *survives;          /* by cells: the chance that no cell of a frame is lost, ... */
    double *undamaged;         /* ... or changed */
    uint64_t draws;
    int64_t now;
    int32_t checking;          /* call fab_check after every event */
    int32_t broken;
    uint32_t broken_node;      /* ... where memory was too small */
    int64_t events_done;
    uint64_t digest;           /* over all deliveries and all signals of flow control */
    vd_counters count;
    measure_plan plan;
    series series[VD_SERIES];
    observer instruments;
    int64_t sample_ns, next_sample_ns;
} vd;

vd *vd_new(fab *f, const vd_options *options);
void vd_free(vd *d);
/* Before any flow: bins, windows [from, to) in the order of time, and samples of queues and links;
 * -1: no memory. */
int vd_observe(vd *d, int64_t bin_ns, const int64_t *windows, int32_t n, int64_t sample_ns);
/* Changes by rising time; -1: no memory. */
int vd_add_flow(vd *d, uint32_t vc, const vd_change *changes, int32_t n, int echo, double phase,
                int64_t host_send_ns, int64_t host_receive_ns, int64_t end_ns);
/* Run until no event is left before `until_ns`; returns the events done in this call. */
int64_t vd_run(vd *d, int64_t until_ns);
/* Events that are still to come, timers among them. */
int64_t vd_waiting(const vd *d);

#endif
