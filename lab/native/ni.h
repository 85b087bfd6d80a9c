/* The processor of a host's adapter (thesis 2.4: the i960 of the SBA-200): one server that works
 * off what it has to do, sending and receiving, in the order in which it falls due.
 *
 * A message that is sent is one piece of work per frame, the next asked for when the one before is
 * done; one that is received likewise, as its frames come.  Messages of a single cell have a short
 * path of their own, in which they never leave the descriptor.  Costs of 0 take no time and need no
 * event.
 */
#ifndef LAB_NI_H
#define LAB_NI_H

#include <stdint.h>

typedef struct {
    int64_t single_cell_bytes;
    int64_t send_single_ns, receive_single_ns;
    int64_t send_ns, receive_ns;           /* a message */
    int64_t send_cell_ns, receive_cell_ns; /* each of its cells */
} ni_costs;

/* Work for a frame of so many cells; `first` and `last` of its message, which has so many bytes. */
static inline int64_t ni_send_work(const ni_costs *c, int64_t bytes, int32_t cells, int first) {
    if (bytes <= c->single_cell_bytes) return c->send_single_ns;
    return cells * c->send_cell_ns + (first ? c->send_ns : 0);
}

static inline int64_t ni_receive_work(const ni_costs *c, int64_t bytes, int32_t cells, int last) {
    if (bytes <= c->single_cell_bytes) return c->receive_single_ns;
    return cells * c->receive_cell_ns + (last ? c->receive_ns : 0);
}

/* When work that falls due now is done, by a processor that is busy until *free_ns. */
static inline int64_t ni_done_ns(int64_t *free_ns, int64_t now_ns, int64_t work_ns) {
    int64_t begin = *free_ns > now_ns ? *free_ns : now_ns;
    return *free_ns = begin + work_ns;
}

/* Nothing to do and nothing before it: no event is needed. */
static inline int ni_at_once(int64_t free_ns, int64_t now_ns, int64_t work_ns) {
    return work_ns == 0 && free_ns <= now_ns;
}

#endif
