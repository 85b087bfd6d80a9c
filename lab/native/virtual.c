/* The simulator's loop, and what happens to frames between the adapters.  See virtual.h. */
#include "virtual.h"

#include <string.h>

#include "virtual_in.h"

#define SERIES_ROWS (64ll << 20)

/* ---- digest and draws ---- */

void vd_note(vd *d, uint32_t tag, uint32_t what, uint32_t hop) {
    uint64_t event = (uint64_t)tag << 56 | (uint64_t)hop << 32 | what;
    d->digest = ev_mix(d->digest ^ ev_mix((uint64_t)d->now) ^ event);
}

/* The next of a seeded series of numbers from 0 to 1. */
static double draw(vd *d) {
    return (double)(ev_mix(d->o.loss.seed ^ ++d->draws) >> 11) * 0x1p-53;
}

/* A planned loss hits a frame that leaves a port: it is gone, or a bit of it is changed. */
static int hit(vd *d, uint32_t frame) {
    fab_frame *fr = &d->f->frame[frame];
    if (d->o.loss.cell_loss > 0 && draw(d) >= d->survives[fr->cells]) {
        d->count.frames_lost_on_purpose++;
        d->count.cells_lost_on_purpose += fr->cells;
        return 1;
    }
    if (d->o.loss.cell_corruption > 0 && draw(d) >= d->undamaged[fr->cells]) {
        if (!fr->damaged) d->count.cells_corrupted_on_purpose++;
        fr->damaged = 1;
    }
    return 0;
}

/* ---- control cells ---- */

static void signal_source(vd *d, uint32_t vc, uint32_t hop, uint8_t kind) {
    fab *f = d->f;
    fab_vc *v = &f->vc[vc];
    uint32_t frame = fab_take_frame(f);
    if (frame == FAB_NONE) {
        d->broken = VD_NO_FRAMES;
        return;
    }
    fab_frame *fr = &f->frame[frame];
    fr->kind = kind;
    fr->cells = 1;
    fr->last = 0;
    fr->vc = v->reverse;
    fr->hop = (uint16_t)(v->hops - hop); /* the reverse queue at the switch of hop `hop` */
    fr->about_vc = vc;
    fr->about_hop = (uint8_t)hop;
    uint32_t node = f->port[f->queue[v->first_queue + hop].port].node;
    d->node_in[node]++;
    d->node_out[node]++;
    d->count.control_sent++;
    fab_control(f, frame, d->now);
}

static void control_at_source(vd *d, uint32_t frame) {
    fab_frame *fr = &d->f->frame[frame];
    uint32_t vc = fr->about_vc, hop = fr->about_hop;
    int stop = fr->kind == FAB_CELL_QUENCH;
    fab_drop_frame(d->f, frame);
    d->count.control_arrived++;
    if (d->o.loss.control_loss > 0 && draw(d) < d->o.loss.control_loss) {
        d->count.control_lost_on_purpose++;
        return;
    }
    fab_source(d->f, vc, hop, stop, d->now);
}

/* ---- what the model asks for ---- */

static void send_on(vd *d, const fab_action *a) {
    fab *f = d->f;
    const fab_frame *fr = &f->frame[a->frame];
    int64_t delay = a->t1 - d->now;
    if (fr->kind == FAB_DATA) {
        d->count.frame_hops++;
        d->count.cell_hops += fr->cells;
        if (d->survives && hit(d, a->frame)) {
            vd_lose(d, a->frame);
            return;
        }
    }
    uint32_t peer = f->port[a->port].peer;
    if (f->node[peer].kind == FAB_SWITCH) {
        d->node_in[peer]++;
        delay += d->o.switch_latency_ns;
    }
    agenda_after(&d->events, d->now, delay, EV_ARRIVE, a->port, a->frame);
}

static void signal_asked(vd *d, const fab_action *a) {
    if (a->what == FAB_QUENCH || a->what == FAB_UNQUENCH) {
        int quench = a->what == FAB_QUENCH;
        *(quench ? &d->count.quenches : &d->count.unquenches) += 1;
        vd_note(d, quench ? TAG_QUENCH : TAG_UNQUENCH, a->vc, a->hop);
        observe_event(&d->instruments, d->now, quench ? OBSERVE_QUENCH : OBSERVE_UNQUENCH, a->port,
                      a->vc, a->hop);
        signal_source(d, a->vc, a->hop, quench ? FAB_CELL_QUENCH : FAB_CELL_UNQUENCH);
        return;
    }
    int stop = a->what == FAB_STOP;
    *(stop ? &d->count.stops : &d->count.goes) += 1;
    vd_note(d, stop ? TAG_STOP : TAG_GO, a->port, 0);
    observe_event(&d->instruments, d->now, stop ? OBSERVE_STOP : OBSERVE_GO, a->port, FAB_NONE, 0);
}

void vd_settle(vd *d) {
    fab *f = d->f;
    for (int32_t i = 0; i < f->actions; i++) { /* carrying out one may append others */
        fab_action a = f->action[i];
        if (a.what == FAB_BUSY)
            agenda_after(&d->events, d->now, a.t1 - d->now, EV_DONE, a.port, 0);
        else if (a.what == FAB_DELIVER)
            send_on(d, &a);
        else if (a.what == FAB_HOLD)
            agenda_push(&d->events, a.t1, EV_HOLD, a.vc, 0);
        else
            signal_asked(d, &a);
    }
    f->actions = 0;
}

/* ---- events ---- */

static void arrive(vd *d, uint32_t port, uint32_t frame) {
    fab *f = d->f;
    fab_frame *fr = &f->frame[frame];
    uint32_t node = f->port[port].peer;
    if (f->node[node].kind == FAB_HOST) {
        if (fr->kind == FAB_DATA)
            vd_arrive_host(d, frame, node);
        else
            control_at_source(d, frame);
        return;
    }
    d->node_out[node]++;
    fr->hop++;
    if (fr->kind != FAB_DATA) {
        fab_control(f, frame, d->now);
    } else if (fab_arrive(f, frame, d->now) < 0) {
        d->count.overflow++;
        d->broken = VD_OVERFLOW;
        d->broken_node = node;
        vd_lose(d, frame);
    }
}

static void done(vd *d, uint32_t port) {
    fab *f = d->f;
    uint32_t queue = f->port[port].sending;
    int last = f->port[port].sending_last;
    fab_done(f, port, d->now);
    if (queue == FAB_CONTROL || f->queue[queue].hop != 0) return;
    vd_settle(d);
    vd_frame_left(d, f->queue[queue].vc, last);
}

static void hold_over(vd *d, uint32_t vc) {
    int64_t before = d->f->vc[vc].hold_expired;
    fab_hold_over(d->f, vc, d->now);
    if (d->f->vc[vc].hold_expired == before) return;
    d->count.hold_expired++;
    vd_note(d, TAG_HOLD_OVER, vc, 0);
}

static void handle(vd *d, const ev *e) {
    switch (e->kind) {
    case EV_DONE: done(d, e->index); break;
    case EV_ARRIVE: arrive(d, e->index, e->value); break;
    case EV_CHANGE: vd_change_due(d, e->index); break;
    case EV_DUE: vd_message_due(d, e->index, e->value); break;
    case EV_PUSH: vd_push_due(d, e->index, e->value); break;
    case EV_CUT: vd_cut_done(d, e->index); break;
    case EV_TAKEN_IN: vd_taken_in(d, e->value); break;
    case EV_HOLD: hold_over(d, e->index); break;
    case EV_PATIENCE: vd_patience_over(d, e->index); break;
    }
    if (d->f->actions) vd_settle(d);
}

static void sample_until(vd *d, int64_t t) {
    if (d->sample_ns <= 0) return;
    for (; d->next_sample_ns <= t; d->next_sample_ns += d->sample_ns) {
        observe_queues(&d->instruments, d->f, d->next_sample_ns);
        observe_links(&d->instruments, d->f, d->next_sample_ns);
    }
}

int64_t vd_run(vd *d, int64_t until_ns) {
    int64_t events = 0;
    ev e;
    while (!d->broken && agenda_pop(&d->events, until_ns, &e)) {
        if (d->sample_ns > 0 && e.t >= d->next_sample_ns) sample_until(d, e.t);
        d->now = e.t;
        handle(d, &e);
        if (d->checking && !d->broken) d->broken = fab_check(d->f);
        events++;
    }
    if (d->now < until_ns && !d->broken) {
        sample_until(d, until_ns);
        d->now = until_ns;
    }
    d->events_done += events;
    return events;
}

int64_t vd_waiting(const vd *d) {
    int64_t n = d->events.heap.n;
    for (int i = 0; i < AGENDA_LANES; i++) n += d->events.lane[i].n;
    return n;
}

/* ---- construction ---- */

/* The chance that nothing happens to any of n cells, for n up to a frame's. */
static double *chances(double each, int32_t cells) {
    double *all = calloc((size_t)cells + 1, sizeof *all);
    if (!all) return 0;
    all[0] = 1;
    for (int32_t n = 1; n <= cells; n++) all[n] = all[n - 1] * (1 - each);
    return all;
}

static int make_series(vd *d) {
    static const int32_t ROW[VD_SERIES] = {sizeof(queue_row), sizeof(event_row), sizeof(link_row)};
    for (int i = 0; i < VD_SERIES; i++)
        if (series_init(&d->series[i], ROW[i], SERIES_ROWS) < 0) return -1;
    port_totals *sampled = calloc(d->f->max_ports, sizeof *sampled);
    d->instruments = (observer){&d->series[VD_QUEUES], &d->series[VD_EVENTS], &d->series[VD_LINKS],
                                sampled};
    return sampled ? 0 : -1;
}

vd *vd_new(fab *f, const vd_options *o) {
    vd *d = calloc(1, sizeof *d);
    if (!d) return 0;
    d->f = f;
    d->o = *o;
    d->free_message = FAB_NONE;
    d->flow = calloc(f->max_vcs, sizeof *d->flow);
    d->sender = calloc(f->max_vcs, sizeof *d->sender);
    d->reassembly = calloc(f->max_vcs, sizeof *d->reassembly);
    d->flow_of = malloc(f->max_vcs * sizeof *d->flow_of);
    d->ni_free_ns = calloc(f->max_nodes, sizeof *d->ni_free_ns);
    d->node_in = calloc(f->max_nodes, sizeof *d->node_in);
    d->node_out = calloc(f->max_nodes, sizeof *d->node_out);
    int good = agenda_init(&d->events, o->tie_seed) == 0 && d->flow && d->sender &&
               d->reassembly && d->flow_of && d->ni_free_ns && d->node_in && d->node_out &&
               make_series(d) == 0;
    if (good && (o->loss.cell_loss > 0 || o->loss.cell_corruption > 0)) {
        d->survives = chances(o->loss.cell_loss, o->frame_cells);
        d->undamaged = chances(o->loss.cell_corruption, o->frame_cells);
        good = d->survives && d->undamaged;
    }
    if (!good) {
        vd_free(d);
        return 0;
    }
    for (uint32_t i = 0; i < f->max_vcs; i++) d->flow_of[i] = FAB_NONE;
    return d;
}

void vd_free(vd *d) {
    if (!d) return;
    for (uint32_t i = 0; d->flow && i < d->f->max_vcs; i++) {
        free(d->flow[i].change);
        for (int end = 0; end < 2; end++) measure_free(&d->flow[i].end[end]);
    }
    for (int i = 0; i < VD_SERIES; i++) series_free(&d->series[i]);
    agenda_free(&d->events);
    void *all[] = {d->flow, d->sender, d->reassembly, d->flow_of, d->message, d->ni_free_ns,
                   d->node_in, d->node_out, d->survives, d->undamaged, d->plan.window,
                   d->instruments.sampled};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(d);
}

int vd_observe(vd *d, int64_t bin_ns, const int64_t *windows, int32_t n, int64_t sample_ns) {
    d->plan = (measure_plan){.bin_ns = bin_ns, .windows = n};
    d->plan.window = malloc(((size_t)n + 1) * sizeof *d->plan.window);
    if (!d->plan.window) return -1;
    memcpy(d->plan.window, windows, (size_t)n * sizeof *d->plan.window);
    d->sample_ns = sample_ns;
    d->next_sample_ns = sample_ns;
    return 0;
}
