/* The simulator's processes: the rules of the endpoint programs.  See virtual.h.
 *
 * A greedy sender keeps its send queue full.  A paced one sends a message at each due time; when
 * the queue is full it is blocked, and restarts its pace when it gets in (it never catches up).  A
 * ping wants to send, and again as soon as it has the echo; a pong sends back what it gets.
 */
#include <math.h>
#include <stdlib.h>

#include "virtual_in.h"

static vd_flow *flow_at(vd *d, uint32_t vc) {
    uint32_t i = d->flow_of[vc];
    return i == FAB_NONE ? 0 : &d->flow[i];
}

static int silent(const vd_flow *w) {
    return w->over || w->at < 0 || w->change[w->at].interval_ns < 0;
}

static int greedy(const vd_flow *w) { return !silent(w) && w->change[w->at].interval_ns == 0; }

static int64_t next_change_ns(const vd_flow *w) {
    int64_t t = w->at + 1 < w->changes ? w->change[w->at + 1].t_ns : w->end_ns;
    return t < w->end_ns ? t : w->end_ns;
}

static void schedule_change(vd *d, uint32_t vc) {
    agenda_push(&d->events, next_change_ns(&d->flow[vc]), EV_CHANGE, vc, 0);
}

static void schedule_message(vd *d, uint32_t vc) {
    vd_flow *w = &d->flow[vc];
    double due_ns = ceil(w->base_ns + (double)w->taken * w->change[w->at].interval_ns);
    if (due_ns >= (double)next_change_ns(w)) return;
    agenda_push(&d->events, (int64_t)due_ns, EV_DUE, vc, w->generation);
}

static void restart(vd *d, vd_flow *w) {
    w->base_ns = (double)d->now;
    w->taken = 1; /* the one that is sent now */
    w->blocked_ns += d->now - w->blocked_since_ns;
    w->blocked = 0;
}

/* ---- ping and pong ---- */

static void push_at(vd *d, uint32_t vc, int64_t t, int64_t bytes) {
    if (t > d->now) {
        agenda_push(&d->events, t, EV_PUSH, vc, (uint32_t)bytes);
        return;
    }
    vd_push(d, vc, bytes); /* a full queue loses it: the ping's patience ends that */
    vd_feed(d, vc);
}

void vd_push_due(vd *d, uint32_t vc, uint32_t bytes) { push_at(d, vc, d->now, bytes); }

static void begin_ping(vd *d, uint32_t vc, int64_t want_ns) {
    vd_flow *w = &d->flow[vc];
    int32_t at = w->at;
    while (at + 1 < w->changes && w->change[at + 1].t_ns <= want_ns) at++;
    w->want_ns = want_ns;
    w->waiting = 0;
    if (at < 0 || w->change[at].interval_ns < 0 || want_ns >= w->end_ns) return;
    w->waiting = 1;
    if (!w->patience_timer) {
        w->patience_timer = 1;
        agenda_push(&d->events, want_ns + d->o.patience_ns, EV_PATIENCE, vc, 0);
    }
    push_at(d, vc, want_ns + w->host_send_ns, w->change[at].bytes);
}

void vd_patience_over(vd *d, uint32_t vc) {
    vd_flow *w = &d->flow[vc];
    w->patience_timer = 0;
    if (!w->waiting) return;
    if (d->now < w->want_ns + d->o.patience_ns) {
        w->patience_timer = 1;
        agenda_push(&d->events, w->want_ns + d->o.patience_ns, EV_PATIENCE, vc, 0);
        return;
    }
    w->unanswered++;
    d->count.pings_unanswered++;
    begin_ping(d, vc, d->now);
}

static void echo_back(vd *d, uint32_t vc, const vd_message *m) {
    const vd_flow *w = &d->flow[vc];
    push_at(d, d->f->vc[vc].reverse, d->now + w->host_receive_ns + w->host_send_ns, m->bytes);
}

static void have_echo(vd *d, uint32_t vc, const vd_message *m) {
    vd_flow *w = &d->flow[vc];
    if (!w->waiting || m->sent_ns < w->want_ns) return; /* of a ping that was given up */
    int64_t have_ns = d->now + w->host_receive_ns;
    measure_add(&w->end[0], &d->plan, d->now, m->bytes, have_ns - w->want_ns);
    begin_ping(d, vc, have_ns);
}

/* ---- what the rest of the simulator tells ---- */

void vd_change_due(vd *d, uint32_t vc) {
    vd_flow *w = &d->flow[vc];
    if (w->at + 1 < w->changes && d->now < w->end_ns) {
        w->at++;
        schedule_change(d, vc);
    } else {
        w->over = 1;
    }
    w->generation = (w->generation + 1) & 0xfffffff;
    if (w->blocked) w->blocked_ns += d->now - w->blocked_since_ns;
    w->blocked = 0;
    if (silent(w)) return;
    const vd_change *c = &w->change[w->at];
    if (w->echo) {
        if (!w->waiting && d->now >= w->want_ns) begin_ping(d, vc, d->now);
        return;
    }
    if (greedy(w)) {
        while (vd_push(d, vc, c->bytes)) {
        }
        vd_feed(d, vc);
        return;
    }
    w->base_ns = (double)d->now + w->phase * c->interval_ns;
    w->taken = 0;
    schedule_message(d, vc);
}

void vd_message_due(vd *d, uint32_t vc, uint32_t generation) {
    vd_flow *w = &d->flow[vc];
    if (generation != w->generation) return;
    if (!vd_push(d, vc, w->change[w->at].bytes)) {
        w->blocked = 1;
        w->blocked_since_ns = d->now;
        return;
    }
    w->taken++;
    schedule_message(d, vc);
    vd_feed(d, vc);
}

void vd_took(vd *d, uint32_t vc, int64_t bytes, int64_t accepted_ns) {
    vd_flow *w = flow_at(d, vc);
    if (!w || w->echo) return;
    measure_add(&w->end[0], &d->plan, d->now, bytes, d->now - accepted_ns);
    if (greedy(w)) {
        vd_push(d, vc, w->change[w->at].bytes);
    } else if (w->blocked) {
        restart(d, w);
        vd_push(d, vc, w->change[w->at].bytes);
        schedule_message(d, vc);
    }
}

void vd_delivered(vd *d, uint32_t vc, const vd_message *m) {
    vd_flow *w = flow_at(d, vc);
    if (!w) return;
    uint32_t forward = d->flow_of[vc];
    if (vc != forward) {
        have_echo(d, forward, m);
        return;
    }
    measure_add(&w->end[1], &d->plan, d->now, m->bytes, d->now - m->sent_ns);
    if (w->echo) echo_back(d, vc, m);
}

int vd_add_flow(vd *d, uint32_t vc, const vd_change *changes, int32_t n, int echo, double phase,
                int64_t host_send_ns, int64_t host_receive_ns, int64_t end_ns) {
    vd_flow *w = &d->flow[vc];
    w->change = malloc((size_t)n * sizeof *w->change);
    if (!w->change) return -1;
    for (int32_t i = 0; i < n; i++) w->change[i] = changes[i];
    w->changes = n;
    w->at = -1;
    w->used = 1;
    w->echo = echo != 0;
    w->phase = phase;
    w->host_send_ns = host_send_ns;
    w->host_receive_ns = host_receive_ns;
    w->end_ns = end_ns;
    uint32_t reverse = d->f->vc[vc].reverse;
    d->flow_of[vc] = vc;
    if (echo) d->flow_of[reverse] = vc;
    d->sender[vc].message = d->sender[reverse].message = FAB_NONE;
    schedule_change(d, vc);
    return 0;
}
