/* What both drivers of the model measure: depths of queues, use of links, flow control signals.
 *
 * Rows go into series (series.h), no system calls.  Queues and links are sampled at multiples of
 * sample_ns, signals are rows each.
 */
#ifndef LAB_OBSERVE_H
#define LAB_OBSERVE_H

#include "model.h"
#include "series.h"

enum { OBSERVE_QUENCH = 0, OBSERVE_UNQUENCH, OBSERVE_STOP, OBSERVE_GO };

typedef struct {
    int64_t frames, cells, busy_ns, control_cells, wait_ns;
} port_totals;

typedef struct {
    series *queues, *events, *links;
    port_totals *sampled; /* by port, at the last sample */
} observer;

void observe_event(observer *o, int64_t t_ns, int32_t kind, uint32_t port, uint32_t vc,
                   uint32_t hop);
void observe_queues(observer *o, const fab *f, int64_t t_ns);
void observe_links(observer *o, const fab *f, int64_t t_ns);

#endif
