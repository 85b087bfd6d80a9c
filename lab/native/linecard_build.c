/* Construction of the line cards: ports, VCs, endpoints.  See linecard.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32.h"
#include "linecard_in.h"

#define SERIES_ROWS (16ll << 20)

void lc_set_inputs(lc *l, const lc_inputs *in) {
    const ni_costs *c = &in->costs;
    l->in = *in;
    l->processors = c->send_single_ns || c->receive_single_ns || c->send_ns || c->receive_ns ||
                    c->send_cell_ns || c->receive_cell_ns;
}

lc *lc_new(const fab_params *params, const lc_options *o, const lc_inputs *in) {
    static const int32_t ROW[LC_SERIES] = {sizeof(queue_row), sizeof(event_row), sizeof(link_row),
                                           sizeof(lateness_row)};
    lc *l = calloc(1, sizeof *l);
    if (!l) return 0;
    crc32_prepare();
    l->o = *o;
    lc_set_inputs(l, in);
    l->epoll = -1;
    l->slot_bytes = (PAYLOAD_AT + o->max_frame_bytes + 63) & ~63u;
    l->f = fab_new(params, o->max_nodes, o->max_ports, o->max_vcs, o->max_queues, o->max_frames);
    l->port = calloc(o->max_ports, sizeof *l->port);
    l->vc = calloc(o->max_vcs, sizeof *l->vc);
    l->totals = calloc(o->max_vcs, sizeof *l->totals);
    l->label = calloc(o->max_queues, sizeof *l->label);
    l->node_in = calloc(o->max_nodes, sizeof *l->node_in);
    l->node_out = calloc(o->max_nodes, sizeof *l->node_out);
    l->processor_free_ns = calloc(o->max_nodes, sizeof *l->processor_free_ns);
    l->bytes = malloc((size_t)l->slot_bytes * o->max_frames);
    l->size = calloc(o->max_frames, sizeof *l->size);
    l->endpoint = calloc(o->max_endpoints, sizeof *l->endpoint);
    l->touched = calloc(o->max_endpoints, sizeof *l->touched);
    l->sampled = calloc(o->max_ports, sizeof *l->sampled);
    int good = l->f && l->port && l->vc && l->totals && l->label && l->node_in && l->node_out &&
               l->bytes && l->size && l->endpoint && l->touched && l->sampled;
    for (int i = 0; good && i < LC_SERIES; i++)
        good = series_init(&l->series[i], ROW[i], SERIES_ROWS) == 0;
    if (!good) {
        lc_free(l);
        return 0;
    }
    l->epoch_ns = lc_clock_ns(CLOCK_MONOTONIC);
    l->end_ns = INT64_MAX;
    l->announced = 1;
    return l;
}

void lc_free(lc *l) {
    if (!l) return;
    for (uint32_t e = 0; e < l->endpoints; e++) unet_detach(&l->endpoint[e]);
    for (uint32_t p = 0; l->f && p < l->f->ports; p++) free(l->port[p].vc_of_label);
    for (int i = 0; i < LC_SERIES; i++) series_free(&l->series[i]);
    fab_free(l->f);
    wire_close(l->wire);
    if (l->epoll >= 0) close(l->epoll);
    void *all[] = {l->port, l->vc, l->totals, l->label, l->node_in, l->node_out, l->port_of_ifindex,
                   l->processor_free_ns, l->bytes, l->size, l->piece, l->endpoint, l->touched, l->sampled, l->events.at};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(l);
}

fab *lc_fabric(lc *l) { return l->f; }
unet_ni *lc_endpoint(lc *l, uint32_t endpoint) { return &l->endpoint[endpoint]; }
series *lc_series(lc *l, int which) { return &l->series[which]; }

static int map_ifindex(lc *l, int ifindex, uint32_t port) {
    uint32_t need = (uint32_t)ifindex + 1;
    if (need > l->ifindices) {
        uint32_t *m = realloc(l->port_of_ifindex, need * sizeof *m);
        if (!m) return -1;
        for (uint32_t i = l->ifindices; i < need; i++) m[i] = FAB_NONE;
        l->port_of_ifindex = m;
        l->ifindices = need;
    }
    l->port_of_ifindex[ifindex] = port;
    return 0;
}

uint32_t lc_add_port(lc *l, uint32_t node, uint32_t peer, int64_t cell_ns, int64_t min_service_ns,
                     int64_t propagation_ns, int own_ifindex, int far_ifindex) {
    uint32_t p = fab_add_port(l->f, node, peer, cell_ns, min_service_ns, propagation_ns);
    if (p == FAB_NONE) return p;
    l->port[p] = (lc_port){.own_ifindex = own_ifindex, .far_ifindex = far_ifindex};
    if (own_ifindex > 0 && map_ifindex(l, own_ifindex, p) < 0) return FAB_NONE;
    return p;
}

static int set_label(lc_port *p, uint32_t label, uint32_t value) {
    if (label >= p->labels) {
        uint32_t labels = label + 64;
        uint32_t *t = realloc(p->vc_of_label, labels * sizeof *t);
        if (!t) return -1;
        memset(t + p->labels, 0, (labels - p->labels) * sizeof *t);
        p->vc_of_label = t;
        p->labels = labels;
    }
    p->vc_of_label[label] = value;
    return 0;
}

uint32_t lc_add_vc(lc *l, const uint32_t *port, const uint32_t *label, uint32_t hops) {
    uint32_t vc = fab_add_vc(l->f, port, hops);
    if (vc == FAB_NONE) return vc;
    uint32_t first = l->f->vc[vc].first_queue;
    l->vc[vc] = lc_idle_vc(&(lc_vc){.endpoint = FAB_NONE, .to_endpoint = FAB_NONE});
    for (uint32_t h = 0; h < hops; h++) {
        l->label[first + h] = label[h];
        if (h > 0 && set_label(&l->port[port[h]], label[h], first + h + 1) < 0) return FAB_NONE;
    }
    return vc;
}

void lc_pair(lc *l, uint32_t vc, uint32_t reverse) { fab_pair(l->f, vc, reverse); }

void lc_close_vc(lc *l, uint32_t vc) {
    fab_vc *v = &l->f->vc[vc];
    for (uint32_t h = 1; h < v->hops; h++) {
        uint32_t q = v->first_queue + h;
        set_label(&l->port[l->f->queue[q].port], l->label[q], 0);
    }
    lc_forget_message(l, vc);
    fab_close_vc(l->f, vc);
}

uint32_t lc_add_endpoint(lc *l) {
    if (l->endpoints == l->o.max_endpoints) return FAB_NONE;
    l->endpoint[l->endpoints] = (unet_ni){.doorbell = -1, .wake = -1};
    return l->endpoints++;
}
