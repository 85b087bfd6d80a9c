/* The line cards: the fabric model driven in real time, on both ends of every link of a real
 * Open vSwitch network, with the U-Net adapters of all hosts.
 *
 * What a switch puts out of a port arrives here (wire.h), waits in the model's queue of that port,
 * is sent on at the link's rate in virtual time, and is put into the switch behind the link, or
 * into the receive queue of an endpoint.  Quench cells are frames like all others and travel back
 * through the switches on the reverse VC.
 *
 * Virtual time is (monotonic clock - epoch) / dilation.  Work is done in batches: the driver sleeps
 * until the next multiple of the quantum, or, when nothing is under way, until something happens.
 * What should have happened at t is done at the first batch after t; how late that was is recorded.
 * The next transmission still begins at t, so lateness costs no throughput.
 *
 * Open vSwitch and the batches need time themselves, which the modelled switch has too: a frame goes
 * into the switch when its transmission begins, bearing the time when its first cell is due there,
 * and enters the queue behind the switch when it is due plus the switch's latency.  Only what comes
 * back from Open vSwitch after that is late, and by how much is recorded.
 */
#ifndef LAB_LINECARD_H
#define LAB_LINECARD_H

#include <stdint.h>

#include "model.h"
#include "ni.h"
#include "series.h"
#include "unet.h"

typedef struct {
    double dilation;
    int64_t quantum_ns;        /* real */
    uint32_t max_frame_bytes;  /* payload of the largest train of cells */
    uint32_t max_nodes, max_ports, max_vcs, max_queues, max_frames, max_endpoints;
} lc_options;

/* What a pass sets beside the parameters of the model. */
typedef struct {
    uint32_t cell_payload_bytes, trailer_bytes; /* of the adaptation layer; both at least 8 */
    int32_t frame_cells;       /* the most cells that move as a whole */
    int32_t window;            /* messages an adapter holds of one VC */
    int64_t switch_latency_ns;
    struct {
        double cell_loss, cell_corruption, control_loss; /* planned: part of all cells */
        uint64_t seed;
    } loss;
    ni_costs costs;
} lc_inputs;

enum { LC_QUEUES = 0, LC_EVENTS, LC_LINKS, LC_LATENESS, LC_SERIES };

typedef struct {
    int64_t now_ns;                /* virtual */
    int64_t sent, delivered;       /* messages taken from and given to endpoints */
    int64_t dropped_endpoint;      /* no process, no free buffer, or receive queue full */
    int64_t overflow;              /* frames a switch's memory had no room for */
    int64_t pdu_discarded_missing; /* messages of which a frame did not arrive, */
    int64_t pdu_discarded_crc;     /* or a bit was changed */
    int64_t unknown;               /* frames with a label that no VC has on that link */
    int64_t malformed;
    int64_t stale;                 /* frames of an earlier pass */
    int64_t no_frame;              /* frame pool empty */
    int64_t tx_refused, rx_drops;  /* by the kernel */
    int64_t into_switches, out_of_switches;
    int64_t control_sent, control_arrived;
    int64_t quenches, unquenches, stops, goes;
    int64_t hold_expired;          /* held sources that went on without having been told */
    int64_t late_sends, late_sends_max_ns; /* messages seen after the time they were to be sent at */
    int64_t cells_lost_on_purpose, cells_corrupted_on_purpose, control_lost_on_purpose;
    int64_t packet_hops;           /* frames handed on by a line card */
    int64_t batches, idle_waits;
    int64_t queued_cells, events_waiting;
    double cpu_s;
} lc_stats;

/* Of one direction of a VC, since the pass began. */
typedef struct {
    int64_t messages, bytes; /* delivered */
    int64_t quenches;        /* that it caused */
} lc_vc_totals;

typedef struct lc lc;

lc *lc_new(const fab_params *params, const lc_options *options, const lc_inputs *inputs);
void lc_free(lc *l);
fab *lc_fabric(lc *l);

/* Construction.  Interface indices are those in the line cards' namespace; 0 on a host's side:
 * `own` is the one whose frames queue at this port, `far` the one behind which its frames go. */
uint32_t lc_add_port(lc *l, uint32_t node, uint32_t peer, int64_t cell_ns, int64_t min_service_ns,
                     int64_t propagation_ns, int own_ifindex, int far_ifindex);
/* One direction of a VC: ports and the label on the link out of each. The reverse one must follow
 * at once and both be joined with lc_pair(). */
uint32_t lc_add_vc(lc *l, const uint32_t *port, const uint32_t *label, uint32_t hops);
void lc_pair(lc *l, uint32_t vc, uint32_t reverse);
void lc_close_vc(lc *l, uint32_t vc);

uint32_t lc_add_endpoint(lc *l);
/* Connect channel `id` of an endpoint: it sends on `out`, and gets what comes by `in`. */
int lc_open_channel(lc *l, uint32_t endpoint, uint32_t id, uint32_t out, uint32_t in);
void lc_close_channel(lc *l, uint32_t endpoint, uint32_t id);
int lc_attach(lc *l, uint32_t endpoint, int memfd, int doorbell, int wake);
void lc_detach(lc *l, uint32_t endpoint);
unet_ni *lc_endpoint(lc *l, uint32_t endpoint);

/* Open the packet sockets in the present namespace; 0, or -errno. */
int lc_open(lc *l);
/* Run until `control_fd` is readable; 0, or -errno. */
int lc_run(lc *l, int control_fd);

/* Tell endpoints that no pass has begun (their epoch is 0). */
void lc_hold(lc *l);
/* Begin a pass: virtual time 0 is at the monotonic clock's epoch_ns; totals and series start anew,
 * and what is still under way is forgotten (the pass before has counted it as not delivered).
 * Virtual time stands still at end_ns: then nothing is sent any more, and what the switches still put
 * out is taken in and stays where it is, so that nothing moves when the books are closed. */
void lc_pass(lc *l, const fab_params *params, const lc_inputs *inputs, int64_t epoch_ns,
             int64_t end_ns, int64_t sample_ns);
void lc_cut(lc *l, uint32_t port, int cut);
void lc_get_stats(lc *l, lc_stats *out);
const lc_vc_totals *lc_totals(const lc *l); /* by VC */
series *lc_series(lc *l, int which);
/* Frames put into and taken out of a switch: what is missing was lost inside it. */
void lc_node_frames(const lc *l, uint32_t node, int64_t *in, int64_t *out);

#endif
