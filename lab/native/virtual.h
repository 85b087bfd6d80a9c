/* The fabric model driven by an event queue, in virtual time: no clock, no network.
 *
 * Traffic is what the endpoints of the emulation are: sources that are greedy or paced, sinks that
 * take everything.  Quench cells travel back hop by hop on the reverse VC, as cells of priority.
 */
#ifndef LAB_VIRTUAL_H
#define LAB_VIRTUAL_H

#include "events.h"
#include "model.h"

typedef struct {
    int64_t interval_ns; /* between two messages of a paced source; 0: greedy; -1: no source */
    int64_t start_ns, stop_ns;
    int32_t cells;
    int64_t offered, sent, delivered, delivered_cells, latency_sum_ns;
    int64_t backlog; /* paced messages waiting for room in the adapter */
} vd_flow;

typedef struct {
    fab *f;
    evq events;
    vd_flow *flow;
    int64_t now;
    int64_t switch_latency_ns;
    int32_t window;      /* frames an adapter holds of one VC */
    int32_t checking;    /* call fab_check after every event */
    int32_t broken;      /* first rule broken, or -1 for a frame without room */
    int64_t events_done;
    int64_t quenches, unquenches, stops, goes, control_in_flight;
    uint64_t digest;     /* over the sequence of deliveries */
} vd;

vd *vd_new(fab *f, uint64_t seed, int64_t switch_latency_ns, int32_t window);
void vd_free(vd *d);
void vd_source(vd *d, uint32_t vc, int32_t cells, int64_t interval_ns, int64_t start_ns,
               int64_t stop_ns);
/* Run until no event is left before `until_ns`; returns the events done in this call. */
int64_t vd_run(vd *d, int64_t until_ns);

#endif
