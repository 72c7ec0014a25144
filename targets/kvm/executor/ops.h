/* The ops that are one ioctl, or one access to RAM. */
#ifndef VF_OPS_H
#define VF_OPS_H

#include "handler.h"

handler op_create;
handler op_pref_target;
handler op_init;
handler op_finalize;
handler op_set_reg;
handler op_get_reg;
handler op_reg_list;
handler op_read_all;
handler op_set_mp;
handler op_get_mp;
handler op_set_events;
handler op_get_events;
handler op_device_attr;
handler op_smccc_filter;
handler op_enable_cap;
handler op_read_mem;
handler op_write_mem;

/* Bytes of a register. */
static inline uint64_t reg_size(uint64_t id)
{
    return 1ull << (id >> 52 & 15);
}

/* Read groups of registers as READ_ALL does. */
void read_groups(struct machine *m, int fd, const uint8_t *at, const uint8_t *end,
                 struct sink *out);

#endif
