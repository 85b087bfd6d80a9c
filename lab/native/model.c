/* See model.h.  The order of the file: pool, rings, judging, service, memory, events.  Construction
 * and the check of the accounting are in model_build.c. */
#include "model.h"

#include <stdlib.h>

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
    f->frame[frame].kind = FAB_UNUSED;
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

/* Something is over-full, and this has at least its fair share of what would not be too much. */
static int over_share(int32_t own, int32_t total, int32_t limit, int32_t holders) {
    return total >= limit && (int64_t)own * holders >= limit;
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

static void stop(fab *f, uint32_t input, uint8_t why) {
    fab_port *in = &f->port[input];
    if (!in->stopped) act(f, FAB_STOP, input, FAB_NONE, 0, FAB_NONE, 0, 0);
    in->stopped |= why;
}

static void go(fab *f, uint32_t input, uint8_t why, int64_t now) {
    fab_port *in = &f->port[input];
    in->stopped &= (uint8_t)~why;
    if (in->stopped) return;
    act(f, FAB_GO, input, FAB_NONE, 0, FAB_NONE, 0, 0);
    serve(f, input, now);
}

static void fill_input(fab *f, uint32_t input, int32_t cells) {
    fab_port *in = &f->port[input];
    in->input_cells += cells;
    if (!(in->stopped & FAB_INPUT_FULL) && in->input_cells >= f->params.input_stop_cells)
        stop(f, input, FAB_INPUT_FULL);
    fab_node *n = &f->node[in->peer];
    if (f->params.memory_stop_cells == 0 || n->full || n->used_cells < f->params.memory_stop_cells)
        return;
    n->full = 1;
    for (uint32_t i = 0; i < f->ports; i++)
        if (f->port[i].peer == in->peer) stop(f, i, FAB_MEMORY_FULL);
}

static void drain_input(fab *f, uint32_t input, int32_t cells, int64_t now) {
    fab_port *in = &f->port[input];
    in->input_cells -= cells;
    if (in->stopped & FAB_INPUT_FULL && in->input_cells <= f->params.input_go_cells)
        go(f, input, FAB_INPUT_FULL, now);
    uint32_t node = in->peer;
    if (!f->node[node].full || f->node[node].used_cells > f->params.memory_go_cells) return;
    f->node[node].full = 0;
    for (uint32_t i = 0; i < f->ports; i++)
        if (f->port[i].peer == node) go(f, i, FAB_MEMORY_FULL, now);
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
