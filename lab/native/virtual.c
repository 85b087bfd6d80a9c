/* See virtual.h. */
#include "virtual.h"

enum { EV_DONE, EV_DELIVER, EV_MESSAGE, EV_HOLD };

static void settle(vd *d);

static void inject(vd *d, uint32_t vc) {
    vd_flow *w = &d->flow[vc];
    fab_queue *q = &d->f->queue[d->f->vc[vc].first_queue];
    while (q->messages < d->window) {
        if (w->interval_ns == 0) {
            if (d->now < w->start_ns || d->now >= w->stop_ns) return;
        } else if (w->backlog == 0) {
            return;
        }
        uint32_t frame = fab_take_frame(d->f);
        if (frame == FAB_NONE) return;
        if (w->interval_ns != 0) w->backlog--;
        fab_frame *fr = &d->f->frame[frame];
        fr->vc = vc;
        fr->hop = 0;
        fr->cells = fr->message_cells = w->cells;
        fr->last = 1;
        fr->user = d->now;
        w->sent++;
        fab_arrive(d->f, frame, d->now);
        settle(d);
    }
}

static void signal_source(vd *d, uint32_t vc, uint32_t hop, uint8_t kind) {
    fab_vc *v = &d->f->vc[vc];
    uint32_t frame = fab_take_frame(d->f);
    if (frame == FAB_NONE) abort();
    fab_frame *fr = &d->f->frame[frame];
    fr->kind = kind;
    fr->cells = 1;
    fr->last = 0;
    fr->vc = v->reverse;
    fr->hop = (uint16_t)(v->hops - hop); /* the reverse queue at the switch of hop `hop` */
    fr->about_vc = vc;
    fr->about_hop = (uint8_t)hop;
    d->control_in_flight++;
    fab_control(d->f, frame, d->now);
}

static void reach(vd *d, uint32_t frame) {
    fab_frame *fr = &d->f->frame[frame];
    if ((uint32_t)fr->hop + 1 < d->f->vc[fr->vc].hops) {
        fr->hop++;
        if (fr->kind == FAB_DATA) {
            if (fab_arrive(d->f, frame, d->now) < 0) {
                if (!d->broken) d->broken = -1;
                fab_drop_frame(d->f, frame);
            }
        } else {
            fab_control(d->f, frame, d->now);
        }
        return;
    }
    if (fr->kind == FAB_DATA) {
        vd_flow *w = &d->flow[fr->vc];
        w->delivered++;
        w->delivered_cells += fr->cells;
        w->latency_sum_ns += d->now - fr->user;
        d->digest = ev_mix(d->digest ^ ev_mix((uint64_t)d->now) ^ fr->vc);
        fab_drop_frame(d->f, frame);
        return;
    }
    uint32_t vc = fr->about_vc, hop = fr->about_hop;
    int stop = fr->kind == FAB_CELL_QUENCH;
    d->control_in_flight--;
    fab_drop_frame(d->f, frame);
    fab_source(d->f, vc, hop, stop, d->now);
}

/* Carry out what the model asked for. */
static void settle(vd *d) {
    fab *f = d->f;
    for (int32_t i = 0; i < f->actions; i++) {
        fab_action a = f->action[i];
        switch (a.what) {
        case FAB_BUSY:
            evq_push(&d->events, a.t1, EV_DONE, a.port, 0);
            break;
        case FAB_DELIVER: {
            int inside = f->node[f->port[a.port].peer].kind == FAB_SWITCH;
            evq_push(&d->events, a.t1 + (inside ? d->switch_latency_ns : 0), EV_DELIVER, a.frame, 0);
            break;
        }
        case FAB_QUENCH:
            d->quenches++;
            signal_source(d, a.vc, a.hop, FAB_CELL_QUENCH);
            break;
        case FAB_UNQUENCH:
            d->unquenches++;
            signal_source(d, a.vc, a.hop, FAB_CELL_UNQUENCH);
            break;
        case FAB_STOP:
            d->stops++;
            break;
        case FAB_GO:
            d->goes++;
            break;
        case FAB_HOLD:
            evq_push(&d->events, a.t1, EV_HOLD, a.vc, 0);
            break;
        }
    }
    f->actions = 0;
}

static void message_due(vd *d, uint32_t vc) {
    vd_flow *w = &d->flow[vc];
    if (d->now >= w->stop_ns) return;
    if (w->interval_ns > 0) {
        w->offered++;
        if (w->backlog < d->window) w->backlog++; /* a full send queue blocks the process */
        evq_push(&d->events, d->now + w->interval_ns, EV_MESSAGE, vc, 0);
    }
    inject(d, vc);
}

vd *vd_new(fab *f, uint64_t seed, int64_t switch_latency_ns, int32_t window) {
    vd *d = calloc(1, sizeof *d);
    if (!d) return 0;
    d->f = f;
    d->flow = calloc(f->max_vcs, sizeof *d->flow);
    d->switch_latency_ns = switch_latency_ns;
    d->window = window;
    d->events.seed = seed;
    for (uint32_t i = 0; i < f->max_vcs; i++) d->flow[i].interval_ns = -1;
    return d;
}

void vd_free(vd *d) {
    if (!d) return;
    free(d->events.at);
    free(d->flow);
    free(d);
}

void vd_source(vd *d, uint32_t vc, int32_t cells, int64_t interval_ns, int64_t start_ns,
               int64_t stop_ns) {
    vd_flow *w = &d->flow[vc];
    w->cells = cells;
    w->interval_ns = interval_ns;
    w->start_ns = start_ns;
    w->stop_ns = stop_ns;
    evq_push(&d->events, start_ns, EV_MESSAGE, vc, 0);
}

int64_t vd_run(vd *d, int64_t until_ns) {
    int64_t done = 0;
    while (d->events.n && d->events.at[0].t < until_ns && !d->broken) {
        ev e = evq_pop(&d->events);
        d->now = e.t;
        uint32_t fed = FAB_NONE; /* VC whose adapter has room again */
        switch (e.kind) {
        case EV_DONE: {
            uint32_t queue = d->f->port[e.index].sending;
            if (queue != FAB_CONTROL && d->f->queue[queue].hop == 0) fed = d->f->queue[queue].vc;
            fab_done(d->f, e.index, d->now);
            break;
        }
        case EV_DELIVER:
            reach(d, e.index);
            break;
        case EV_MESSAGE:
            message_due(d, e.index);
            break;
        case EV_HOLD:
            fab_hold_over(d->f, e.index, d->now);
            break;
        }
        settle(d);
        if (fed != FAB_NONE && d->flow[fed].interval_ns >= 0) inject(d, fed);
        if (d->checking && !d->broken) d->broken = fab_check(d->f);
        done++;
    }
    if (d->now < until_ns && !d->broken) d->now = until_ns;
    d->events_done += done;
    return done;
}
