/* See model.h.  The order of the file: pool, rings, judging, service, events, construction, check. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static void act(fab *f, int32_t what, uint32_t port, uint32_t vc, uint32_t hop, uint32_t frame,
                int64_t t0, int64_t t1) {
    if (f->actions >= FAB_MAX_ACTIONS) abort(); /* one event causes a handful; the driver empties */
    f->action[f->actions++] = (fab_action){what, port, vc, hop, frame, t0, t1};
}

/* ---- frame pool: last freed is first taken, so that the working set stays in cache ---- */

uint32_t fab_take_frame(fab *f) {
    uint32_t i = f->free_frame;
    if (i != FAB_NONE)
        f->free_frame = f->frame[i].next;
    else if (f->frames_touched < f->max_frames)
        i = f->frames_touched++;
    else
        return FAB_NONE;
    f->frames_used++;
    f->frame[i].next = FAB_NONE;
    f->frame[i].kind = FAB_DATA;
    f->frame[i].damaged = 0;
    return i;
}

void fab_drop_frame(fab *f, uint32_t frame) {
    f->frame[frame].next = f->free_frame;
    f->free_frame = frame;
    f->frames_used--;
}

/* ---- the ring of serviceable queues of a port ---- */

static void ring_add(fab *f, fab_port *p, uint32_t qi) {
    fab_queue *q = &f->queue[qi];
    if (p->current == FAB_NONE) {
        q->next = q->prev = qi;
        p->current = qi;
    } else { /* behind all others: just before the queue whose turn it is */
        fab_queue *at = &f->queue[p->current];
        q->next = p->current;
        q->prev = at->prev;
        f->queue[at->prev].next = qi;
        at->prev = qi;
    }
    q->deficit = 0;
}

static void ring_remove(fab *f, fab_port *p, uint32_t qi) {
    fab_queue *q = &f->queue[qi];
    if (q->next == FAB_NONE) return;
    if (q->next == qi) {
        p->current = FAB_NONE;
    } else {
        f->queue[q->prev].next = q->next;
        f->queue[q->next].prev = q->prev;
        if (p->current == qi) p->current = q->next;
    }
    q->next = q->prev = FAB_NONE;
}

/* ---- judging congestion: VCI, link and general buffer use (thesis 4.3) ---- */

/* At least the fair share of something over-full that `holders` queues share. */
static int over_share(int32_t own, int32_t total, int32_t limit, int32_t holders) {
    return total >= limit && (int64_t)own * holders >= total;
}

static int congested(const fab *f, const fab_queue *q) {
    const fab_port *p = &f->port[q->port];
    const fab_node *n = &f->node[p->node];
    return q->cells >= f->params.vci_quench_cells ||
           over_share(q->cells, p->queued_cells, f->params.link_quench_cells, p->active_queues) ||
           over_share(q->cells, n->used_cells, f->params.buffer_quench_cells, n->active_queues);
}

/* An empty queue is always relieved: nothing of it will leave again to be judged by. */
static int relieved(const fab *f, const fab_queue *q) {
    const fab_port *p = &f->port[q->port];
    const fab_node *n = &f->node[p->node];
    if (q->cells == 0) return 1;
    return q->cells <= f->params.vci_unquench_cells &&
           !over_share(q->cells, p->queued_cells, f->params.link_quench_cells, p->active_queues) &&
           !over_share(q->cells, n->used_cells, f->params.buffer_quench_cells, n->active_queues);
}

/* A source that goes on sending into a quenched queue has not heard of it, or has forgotten. */
static int must_quench(const fab *f, const fab_queue *q, int64_t now) {
    if (q->quenching) return now - q->quenched_ns >= f->params.quench_repeat_ns;
    return congested(f, q);
}

/* ---- service ---- */

/* The port is taken until the frame's last cell is out.  A switch behind it sees the first cell long
 * before that; a host's adapter counts what has come when the last one has. */
static void start(fab *f, uint32_t pi, uint32_t queue, uint32_t frame, int64_t service_ns,
                  int64_t now) {
    fab_port *p = &f->port[pi];
    const fab_frame *fr = &f->frame[frame];
    p->sending = queue;
    p->sending_cells = fr->cells;
    p->sending_last = fr->last;
    p->sending_until = now + service_ns;
    p->busy_ns += service_ns;
    int64_t there = p->sending_until + p->propagation_ns;
    if (f->node[p->peer].kind == FAB_SWITCH) there -= (fr->cells - 1) * p->cell_ns;
    act(f, FAB_BUSY, pi, fr->vc, fr->hop, frame, now, p->sending_until);
    act(f, FAB_DELIVER, pi, fr->vc, fr->hop, frame, now, there);
}

/* Whose turn is it?  Deficit round robin: a queue may send while its credit covers its first
 * frame; when not, it gets another quantum and waits for its next turn. */
static uint32_t next_queue(fab *f, fab_port *p) {
    for (;;) {
        fab_queue *q = &f->queue[p->current];
        int32_t cells = f->frame[q->head].cells;
        if (q->next == p->current || q->deficit >= cells) {
            q->deficit = q->deficit >= cells ? q->deficit - cells : 0;
            return p->current;
        }
        q->deficit += f->params.quantum_cells;
        if (q->deficit >= cells) {
            q->deficit -= cells;
            return p->current;
        }
        p->current = q->next;
    }
}

static void serve(fab *f, uint32_t pi, int64_t now) {
    fab_port *p = &f->port[pi];
    if (p->sending != FAB_NONE || p->cut) return;
    if (p->control_head != FAB_NONE) { /* quench cells pass even a stopped link */
        uint32_t fr = p->control_head;
        p->control_head = f->frame[fr].next;
        if (p->control_head == FAB_NONE) p->control_tail = FAB_NONE;
        p->control_cells += f->frame[fr].cells;
        start(f, pi, FAB_CONTROL, fr, f->frame[fr].cells * p->cell_ns, now);
        return;
    }
    if (p->stopped || p->current == FAB_NONE) return;
    uint32_t qi = next_queue(f, p);
    fab_queue *q = &f->queue[qi];
    uint32_t fr = q->head;
    fab_frame *frame = &f->frame[fr];
    q->head = frame->next;
    q->frames--;
    if (q->head == FAB_NONE) {
        q->tail = FAB_NONE;
        ring_remove(f, p, qi);
    } else if (q->next != qi && q->deficit < f->frame[q->head].cells) {
        p->current = q->next; /* credit spent: the next one's turn */
    }
    int64_t service = frame->cells * p->cell_ns;
    if (frame->message_cells > 0) { /* a short message takes an adapter longer than its cells do */
        int64_t rest = p->min_service_ns - frame->message_cells * p->cell_ns;
        if (rest > 0) service += rest;
    }
    p->wait_ns += now - frame->queued_ns;
    start(f, pi, qi, fr, service, now);
}

/* ---- memory accounting, with link-level control on its edge ---- */

static void account(fab *f, fab_queue *q, int32_t cells) {
    fab_port *p = &f->port[q->port];
    fab_node *n = &f->node[p->node];
    int was = q->cells > 0;
    q->cells += cells;
    int is = q->cells > 0;
    p->queued_cells += cells;
    p->active_queues += is - was;
    n->used_cells += cells;
    n->active_queues += is - was;
    if (n->used_cells > n->peak_cells) n->peak_cells = n->used_cells;
}

static void fill_input(fab *f, uint32_t input, int32_t cells) {
    fab_port *in = &f->port[input];
    in->input_cells += cells;
    if (!in->stopped && in->input_cells >= f->params.input_stop_cells) {
        in->stopped = 1;
        act(f, FAB_STOP, input, FAB_NONE, 0, FAB_NONE, 0, 0);
    }
}

static void drain_input(fab *f, uint32_t input, int32_t cells, int64_t now) {
    fab_port *in = &f->port[input];
    in->input_cells -= cells;
    if (in->stopped && in->input_cells <= f->params.input_go_cells) {
        in->stopped = 0;
        act(f, FAB_GO, input, FAB_NONE, 0, FAB_NONE, 0, 0);
        serve(f, input, now);
    }
}

/* ---- events ---- */

int fab_arrive(fab *f, uint32_t frame, int64_t now) {
    fab_frame *fr = &f->frame[frame];
    uint32_t qi = f->vc[fr->vc].first_queue + fr->hop;
    fab_queue *q = &f->queue[qi];
    fab_port *p = &f->port[q->port];
    fab_node *n = &f->node[p->node];
    if (n->kind == FAB_SWITCH && n->used_cells + fr->cells > n->buffer_cells) {
        n->overflow_cells += fr->cells;
        return -1;
    }
    fr->next = FAB_NONE;
    fr->queued_ns = now;
    if (q->tail == FAB_NONE)
        q->head = frame;
    else
        f->frame[q->tail].next = frame;
    q->tail = frame;
    q->frames++;
    q->messages += fr->last;
    account(f, q, fr->cells);
    if (q->input != FAB_NONE) {
        fill_input(f, q->input, fr->cells);
        if (f->params.flow_control == FAB_SOURCE_QUENCH && must_quench(f, q, now)) {
            q->quenching = 1;
            q->quenched_ns = now;
            act(f, FAB_QUENCH, q->port, fr->vc, fr->hop, FAB_NONE, now, now);
        }
    }
    if (q->next == FAB_NONE && !q->held) ring_add(f, p, qi);
    serve(f, q->port, now);
    return 0;
}

void fab_control(fab *f, uint32_t frame, int64_t now) {
    fab_frame *fr = &f->frame[frame];
    uint32_t pi = f->queue[f->vc[fr->vc].first_queue + fr->hop].port;
    fab_port *p = &f->port[pi];
    fr->next = FAB_NONE;
    fr->queued_ns = now;
    if (p->control_tail == FAB_NONE)
        p->control_head = frame;
    else
        f->frame[p->control_tail].next = frame;
    p->control_tail = frame;
    serve(f, pi, now);
}

void fab_done(fab *f, uint32_t port, int64_t now) {
    fab_port *p = &f->port[port];
    uint32_t qi = p->sending;
    if (qi == FAB_NONE || now < p->sending_until) abort(); /* the driver's mistake */
    p->sending = FAB_NONE;
    if (qi != FAB_CONTROL) {
        fab_queue *q = &f->queue[qi];
        int32_t cells = p->sending_cells;
        p->frames++;
        p->cells += cells;
        q->messages -= p->sending_last;
        account(f, q, -cells);
        if (q->input != FAB_NONE) {
            if (q->quenching && relieved(f, q)) {
                q->quenching = 0;
                act(f, FAB_UNQUENCH, port, q->vc, q->hop, FAB_NONE, now, now);
            }
            drain_input(f, q->input, cells, now);
        }
    }
    serve(f, port, now);
}

static void hold(fab *f, uint32_t vc, int64_t now) {
    fab_vc *v = &f->vc[vc];
    fab_queue *q = &f->queue[v->first_queue];
    uint8_t held = v->quenched_by != 0;
    if (held == q->held) return;
    q->held = held;
    if (held) {
        ring_remove(f, &f->port[q->port], v->first_queue);
    } else if (q->frames > 0) {
        ring_add(f, &f->port[q->port], v->first_queue);
        serve(f, q->port, now);
    }
}

static void set_hold_timer(fab *f, uint32_t vc, int64_t now) {
    fab_vc *v = &f->vc[vc];
    v->hold_timer = 1;
    act(f, FAB_HOLD, FAB_NONE, vc, 0, FAB_NONE, now, v->hold_until_ns);
}

void fab_source(fab *f, uint32_t vc, uint32_t hop, int stop, int64_t now) {
    fab_vc *v = &f->vc[vc];
    if (stop) {
        v->quenched_by |= 1ull << hop;
        v->hold_until_ns = now + f->params.quench_hold_ns;
        if (!v->hold_timer) set_hold_timer(f, vc, now);
    } else {
        v->quenched_by &= ~(1ull << hop);
    }
    hold(f, vc, now);
}

void fab_hold_over(fab *f, uint32_t vc, int64_t now) {
    fab_vc *v = &f->vc[vc];
    v->hold_timer = 0;
    if (!v->quenched_by) return;
    if (now < v->hold_until_ns) { /* quenched again meanwhile */
        set_hold_timer(f, vc, now);
        return;
    }
    v->hold_expired++;
    v->quenched_by = 0;
    hold(f, vc, now);
}

void fab_set_cut(fab *f, uint32_t port, int cut, int64_t now) {
    f->port[port].cut = cut != 0;
    serve(f, port, now);
}

static void all_frames_free(fab *f) {
    f->free_frame = FAB_NONE;
    f->frames_used = f->frames_touched = 0;
}

static fab_port idle_port(fab_port p) {
    return (fab_port){.node = p.node,
                      .peer = p.peer,
                      .cell_ns = p.cell_ns,
                      .min_service_ns = p.min_service_ns,
                      .propagation_ns = p.propagation_ns,
                      .current = FAB_NONE,
                      .control_head = FAB_NONE,
                      .control_tail = FAB_NONE,
                      .sending = FAB_NONE};
}

static fab_queue empty_queue(fab_queue q) {
    return (fab_queue){.port = q.port,
                       .vc = q.vc,
                       .hop = q.hop,
                       .input = q.input,
                       .head = FAB_NONE,
                       .tail = FAB_NONE,
                       .next = FAB_NONE,
                       .prev = FAB_NONE};
}

void fab_clear(fab *f, int32_t flow_control) {
    f->params.flow_control = flow_control;
    f->actions = 0;
    all_frames_free(f);
    for (uint32_t i = 0; i < f->nodes; i++)
        f->node[i] = (fab_node){.kind = f->node[i].kind, .buffer_cells = f->node[i].buffer_cells};
    for (uint32_t i = 0; i < f->ports; i++) {
        uint8_t cut = f->port[i].cut;
        f->port[i] = idle_port(f->port[i]);
        f->port[i].cut = cut;
    }
    for (uint32_t i = 0; i < f->queues; i++) f->queue[i] = empty_queue(f->queue[i]);
    for (uint32_t i = 0; i < f->vcs; i++) {
        fab_vc *v = &f->vc[i];
        v->quenched_by = 0;
        v->hold_until_ns = v->hold_expired = 0;
        v->hold_timer = 0;
    }
}

/* ---- construction ---- */

fab *fab_new(const fab_params *params, uint32_t max_nodes, uint32_t max_ports, uint32_t max_vcs,
             uint32_t max_queues, uint32_t max_frames) {
    fab *f = calloc(1, sizeof *f);
    if (!f) return 0;
    f->params = *params;
    f->max_nodes = max_nodes;
    f->max_ports = max_ports;
    f->max_vcs = max_vcs;
    f->max_queues = max_queues;
    f->max_frames = max_frames;
    f->node = calloc(max_nodes, sizeof *f->node);
    f->port = calloc(max_ports, sizeof *f->port);
    f->vc = calloc(max_vcs, sizeof *f->vc);
    f->queue = calloc(max_queues, sizeof *f->queue);
    f->frame = calloc(max_frames, sizeof *f->frame);
    if (!f->node || !f->port || !f->vc || !f->queue || !f->frame) {
        fab_free(f);
        return 0;
    }
    all_frames_free(f);
    return f;
}

void fab_free(fab *f) {
    if (!f) return;
    free(f->node);
    free(f->port);
    free(f->vc);
    free(f->queue);
    free(f->frame);
    free(f);
}

uint32_t fab_add_node(fab *f, int32_t kind, int32_t buffer_cells) {
    if (f->nodes == f->max_nodes) return FAB_NONE;
    f->node[f->nodes] = (fab_node){.kind = kind, .buffer_cells = buffer_cells};
    return f->nodes++;
}

uint32_t fab_add_port(fab *f, uint32_t node, uint32_t peer, int64_t cell_ns,
                      int64_t min_service_ns, int64_t propagation_ns) {
    if (f->ports == f->max_ports) return FAB_NONE;
    f->port[f->ports] = idle_port((fab_port){.node = node,
                                             .peer = peer,
                                             .cell_ns = cell_ns,
                                             .min_service_ns = min_service_ns,
                                             .propagation_ns = propagation_ns});
    return f->ports++;
}

uint32_t fab_add_vc(fab *f, const uint32_t *port, uint32_t hops) {
    if (f->vcs == f->max_vcs || f->queues + hops > f->max_queues) return FAB_NONE;
    if (hops == 0 || hops > FAB_MAX_HOPS) return FAB_NONE;
    for (uint32_t h = 1; h < hops; h++)
        if (f->port[port[h - 1]].peer != f->port[port[h]].node) return FAB_NONE;
    f->vc[f->vcs] =
        (fab_vc){.first_queue = f->queues, .hops = hops, .reverse = FAB_NONE, .open = 1};
    for (uint32_t h = 0; h < hops; h++)
        f->queue[f->queues++] = empty_queue((fab_queue){
            .port = port[h], .vc = f->vcs, .hop = h, .input = h ? port[h - 1] : FAB_NONE});
    return f->vcs++;
}

void fab_pair(fab *f, uint32_t vc, uint32_t reverse) {
    f->vc[vc].reverse = reverse;
    f->vc[reverse].reverse = vc;
}

void fab_close_vc(fab *f, uint32_t vc) { f->vc[vc].open = 0; }

/* ---- check ---- */

static int check_queue(const fab *f, const fab_queue *q) {
    int32_t frames = 0, cells = 0, messages = 0;
    for (uint32_t i = q->head; i != FAB_NONE; i = f->frame[i].next) {
        frames++;
        cells += f->frame[i].cells;
        messages += f->frame[i].last;
        if (f->frame[i].next == FAB_NONE && i != q->tail) return 1;
    }
    const fab_port *p = &f->port[q->port];
    if (p->sending != FAB_NONE && p->sending != FAB_CONTROL && &f->queue[p->sending] == q) {
        cells += p->sending_cells;
        messages += p->sending_last;
    }
    if (frames != q->frames || cells != q->cells || messages != q->messages) return 2;
    if ((q->next != FAB_NONE) != (q->frames > 0 && !q->held)) return 3;
    return 0;
}

int fab_check(const fab *f) {
    for (uint32_t i = 0; i < f->queues; i++) {
        int broken = check_queue(f, &f->queue[i]);
        if (broken) return broken;
    }
    for (uint32_t n = 0; n < f->nodes; n++) {
        const fab_node *node = &f->node[n];
        int64_t used = 0;
        for (uint32_t i = 0; i < f->queues; i++)
            if (f->port[f->queue[i].port].node == n) used += f->queue[i].cells;
        if (used != node->used_cells) return 4;
        if (node->kind == FAB_SWITCH && used > node->buffer_cells) return 5;
    }
    for (uint32_t p = 0; p < f->ports; p++) {
        const fab_port *port = &f->port[p];
        int64_t queued = 0, input = 0;
        int idle = 1;
        for (uint32_t i = 0; i < f->queues; i++) {
            if (f->queue[i].port == p) queued += f->queue[i].cells;
            if (f->queue[i].input == p) input += f->queue[i].cells;
            if (f->queue[i].port == p && f->queue[i].frames > 0 && !f->queue[i].held) idle = 0;
        }
        if (queued != port->queued_cells) return 6;
        if (input != port->input_cells) return 7;
        if (!idle && port->sending == FAB_NONE && !port->stopped && !port->cut)
            return 8; /* work waits at a free port: not work-conserving */
    }
    return 0;
}
