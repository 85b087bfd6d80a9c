/* The AC3 fabric as a pure state machine (thesis 4.3).
 *
 * No clock, no input or output, no allocation after construction.  Whoever drives it - the line
 * cards in real time, the simulator from an event queue - tells it what happens and when
 * (virtual nanoseconds), and reads from the list of actions what follows from that.
 *
 *   node   a switch with a shared cell memory, or a host (its adapter).
 *   port   the transmitter of one direction of a link; it belongs to the node it sends from.
 *          The same index names, at the node it sends to, the input that its cells came in by.
 *   VC     a chain of ports from a source host to a destination host (hop 0 is the source
 *          adapter).  Every VC has one queue at every hop: cells queue per VCI per port.
 *   frame  what moves as a whole: a train of cells of one message.  A message is an AAL5 PDU of
 *          so many cells; it goes as frames of up to so many cells as the driver chooses (one cell:
 *          cell-exact).  Its first frame says how long the message is, its last one says so.
 *
 * Switches cut through: a frame is handed to the switch behind a link when its first cell has got
 * there, to a host when its last cell has.  The memory that it takes where it was is free when its
 * last cell has left.
 *
 * Flow control, always judged where the queue is:
 *   quench      a VCI is congested when its own queue, or its fair share of an over-full link, or
 *               its fair share of an over-full memory is exceeded; then its *source* is told to
 *               stop (FAB_QUENCH), and to go on (FAB_UNQUENCH) when the queue has drained.
 *               Either cell may be lost: a quench is repeated while frames keep coming, and a
 *               source that has heard nothing for long goes on by itself (FAB_HOLD).
 *   link level  an input whose cells fill their part of the memory stops the whole link before it
 *               (FAB_STOP, FAB_GO), whatever VCI the cells belong to.  It stays armed under quench
 *               as the last guard of losslessness, as in the original product.  Where memory_stop_cells
 *               is set, a memory with so many cells stops all the switch's inputs besides.
 *
 * A frame that finds no room in a switch's memory breaks the lossless guarantee: it is refused,
 * counted in fab_node.overflow_cells, and the caller reports which memory was too small.
 */
#ifndef LAB_MODEL_H
#define LAB_MODEL_H

#include <stdint.h>

#define FAB_NONE 0xffffffffu
#define FAB_CONTROL 0xfffffffeu
#define FAB_MAX_HOPS 63 /* a quench mask holds one bit a hop */

enum { FAB_LINK_LEVEL = 0, FAB_SOURCE_QUENCH = 1 };
enum { FAB_HOST = 0, FAB_SWITCH = 1 };
enum { FAB_INPUT_FULL = 1, FAB_MEMORY_FULL = 2 };
enum { FAB_DATA = 0, FAB_CELL_QUENCH = 1, FAB_CELL_UNQUENCH = 2, FAB_UNUSED = 3 };

enum {
    FAB_BUSY = 1,  /* port starts to send frame at t0 and needs fab_done(port) at t1 */
    FAB_DELIVER,   /* ... and it reaches the node behind the port at t1, perhaps before that */
    FAB_QUENCH,    /* the queue of (vc, hop) is congested: tell the source to stop */
    FAB_UNQUENCH,  /* ... is relieved: tell the source to go on */
    FAB_STOP,      /* input full: port (the one before it) is stopped */
    FAB_GO,        /* ... is started again */
    FAB_HOLD       /* the source of vc is held: needs fab_hold_over(vc) at t1 */
};

typedef struct {
    int32_t flow_control;          /* FAB_LINK_LEVEL or FAB_SOURCE_QUENCH */
    int32_t vci_quench_cells;      /* a VCI's own queue: congested from here ... */
    int32_t vci_unquench_cells;    /* ... relieved at or below this */
    int32_t link_quench_cells;     /* all queues of a port: over-full from here */
    int32_t buffer_quench_cells;   /* a switch's whole memory: over-full from here */
    int32_t input_stop_cells;      /* cells of one input: the link is stopped from here ... */
    int32_t input_go_cells;        /* ... and started again at or below this */
    int32_t memory_stop_cells;     /* cells of a whole switch: all its inputs are stopped; 0: never */
    int32_t memory_go_cells;       /* ... and started again at or below this */
    int32_t quantum_cells;         /* fair service: cells a VCI may send per round */
    int64_t quench_repeat_ns;      /* cells that come so long after a quench cause another one */
    int64_t quench_hold_ns;        /* without a quench for so long a held source goes on */
} fab_params;

typedef struct {
    int32_t kind;            /* FAB_HOST or FAB_SWITCH */
    int32_t buffer_cells;    /* size of a switch's shared memory; ignored for hosts */
    int32_t used_cells;
    int32_t peak_cells;
    int32_t active_queues;   /* non-empty queues of the node */
    uint8_t full;            /* its inputs are stopped for its memory's sake */
    int64_t overflow_cells;  /* refused for lack of room: must stay 0 */
} fab_node;

typedef struct {
    uint32_t node, peer;        /* from, to */
    int64_t cell_ns;            /* serialisation time of a cell */
    int64_t min_service_ns;     /* least time per message (a host's message rate); 0 = none */
    int64_t propagation_ns;
    uint32_t current;           /* queue whose turn it is, or FAB_NONE */
    uint32_t control_head, control_tail;
    uint32_t sending;           /* queue of the frame under way, FAB_CONTROL, or FAB_NONE */
    int32_t sending_cells;
    int64_t sending_until;
    int32_t queued_cells;
    int32_t active_queues;
    int32_t input_cells;        /* cells stored at peer that came over this port */
    uint8_t stopped;            /* by the peer's link-level control: FAB_INPUT_FULL, FAB_MEMORY_FULL */
    uint8_t cut;                /* administratively down (fault) */
    uint8_t sending_last;       /* the frame under way ends its message */
    /* totals since construction or fab_clear() */
    int64_t frames, cells, busy_ns, control_cells, wait_ns;
} fab_port;

typedef struct {
    uint32_t port, vc, hop;
    uint32_t input;             /* port its cells came over, FAB_NONE at hop 0 */
    uint32_t head, tail;
    uint32_t next, prev;        /* ring of serviceable queues of the port, FAB_NONE = not in it */
    int32_t cells;              /* waiting or being sent */
    int32_t frames;             /* waiting */
    int32_t messages;           /* whose last frame waits or is being sent */
    int32_t deficit;
    int64_t quenched_ns;        /* when this queue last told the source to stop */
    uint8_t quenching;          /* this queue has told the source to stop */
    uint8_t held;               /* hop 0 only: the source is stopped */
} fab_queue;

typedef struct {
    uint32_t first_queue, hops;
    uint32_t reverse;           /* the VC of the other direction */
    uint64_t quenched_by;       /* bit h: hop h has told this source to stop */
    int64_t hold_until_ns;      /* then the source goes on by itself */
    int64_t hold_expired;       /* how often it did */
    uint8_t hold_timer;         /* fab_hold_over() is to come */
    uint8_t open;
} fab_vc;

typedef struct {
    uint32_t next;
    uint32_t vc;
    uint16_t hop;
    uint8_t kind;               /* FAB_DATA, the control cell it is, or FAB_UNUSED in the pool */
    uint8_t about_hop;          /* control cells: the congested hop ... */
    uint32_t about_vc;          /* ... and VC */
    int32_t cells;
    int32_t message_cells;      /* of the whole message on its first frame, 0 on the others */
    uint8_t last;               /* this frame ends its message */
    uint8_t damaged;            /* the driver's: a bit of it was changed on the way */
    int64_t queued_ns;          /* when it came into its present queue */
    int64_t user;               /* the driver's own */
} fab_frame;

typedef struct {
    int32_t what;
    uint32_t port, vc, hop, frame;
    int64_t t0, t1;
} fab_action;

#define FAB_MAX_ACTIONS 64

typedef struct fab {
    fab_params params;
    uint32_t nodes, ports, vcs, queues; /* in use */
    uint32_t max_nodes, max_ports, max_vcs, max_queues, max_frames;
    fab_node *node;
    fab_port *port;
    fab_vc *vc;
    fab_queue *queue;
    fab_frame *frame;
    uint32_t free_frame;
    uint32_t frames_used;
    uint32_t frames_touched; /* beyond these no frame was ever used: a pool costs what it holds */
    int32_t actions;
    fab_action action[FAB_MAX_ACTIONS];
} fab;

/* Construction.  Indices are handed out from 0; FAB_NONE means "no room". */
fab *fab_new(const fab_params *params, uint32_t max_nodes, uint32_t max_ports, uint32_t max_vcs,
             uint32_t max_queues, uint32_t max_frames);
void fab_free(fab *f);
uint32_t fab_add_node(fab *f, int32_t kind, int32_t buffer_cells);
uint32_t fab_add_port(fab *f, uint32_t node, uint32_t peer, int64_t cell_ns,
                      int64_t min_service_ns, int64_t propagation_ns);
/* A VC over `hops` ports, hop 0 at the source host; consecutive ports must join up. */
uint32_t fab_add_vc(fab *f, const uint32_t *port, uint32_t hops);
void fab_pair(fab *f, uint32_t vc, uint32_t reverse);
void fab_close_vc(fab *f, uint32_t vc);

uint32_t fab_take_frame(fab *f);                 /* FAB_NONE when the pool is empty */
void fab_drop_frame(fab *f, uint32_t frame);

/* Events.  Each appends to f->action; the driver empties the list (f->actions = 0) after each. */
int fab_arrive(fab *f, uint32_t frame, int64_t now);  /* at the queue of its (vc, hop); -1: no room */
void fab_control(fab *f, uint32_t frame, int64_t now); /* a control cell, served before all data */
void fab_done(fab *f, uint32_t port, int64_t now);    /* end of the transmission under way */
void fab_source(fab *f, uint32_t vc, uint32_t hop, int stop, int64_t now); /* cell at the source */
void fab_hold_over(fab *f, uint32_t vc, int64_t now);
void fab_set_cut(fab *f, uint32_t port, int cut, int64_t now);
/* As if just built, with this mode of flow control: no frame anywhere (all go back to the pool), no
 * quench, no stop, totals and peaks zero.  Nodes, ports and VCs stay. */
void fab_clear(fab *f, int32_t flow_control);

/* Accounting that must hold after every event; 0 or the number of the first broken rule. */
int fab_check(const fab *f);

#endif
