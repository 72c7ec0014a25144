#include "host_sme.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "host_state.h"

/* Headers older than SME. */
#ifndef HWCAP2_SME
#define HWCAP2_SME (1 << 23)
#endif
#ifndef PR_SME_SET_VL
#define PR_SME_SET_VL 63
#define PR_SME_GET_VL 64
#define PR_SME_VL_LEN_MASK 0xffff
#endif

bool host_has_sme(void)
{
    return getauxval(AT_HWCAP2) & HWCAP2_SME;
}

static unsigned streaming_length(void)
{
    return (unsigned)prctl(PR_SME_GET_VL) & PR_SME_VL_LEN_MASK;
}

static bool set_streaming_length(uint64_t svl)
{
    return prctl(PR_SME_SET_VL, (unsigned long)svl) >= 0;
}

uint64_t host_sme_lengths(void)
{
    uint64_t found = 0;
    if (!host_has_sme())
        return 0;
    const unsigned usual = streaming_length();
    for (unsigned vq = 1; 16 * vq <= MOST_SVL; vq++)
        if (set_streaming_length(16 * vq) && streaming_length() == 16 * vq)
            found |= 1ull << (vq - 1);
    set_streaming_length(usual);
    return found;
}

/* The pattern is the wire form's `za_fill`. No two rows are alike. */
static void fill_za(uint8_t *at, unsigned turn, unsigned svl)
{
    const unsigned seed = 0x23 + 0x51 * turn;
    for (unsigned row = 0; row < svl; row++)
        for (unsigned i = 0; i < svl; i++)
            *at++ = (uint8_t)(seed + 7 * row + 3 * i + row * i);
}

static uint64_t digest(const uint8_t *from, size_t size)
{
    uint64_t hash = FNV_BASIS;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ from[i]) * FNV_PRIME;
    return hash;
}

unsigned host_sme_begin(struct host_sme *sme, uint64_t svl)
{
    const unsigned usual = streaming_length();
    memset(&sme->begun, 0, sizeof sme->begun);
    if (svl && !set_streaming_length(svl))
        sme->begun.prctl_err = (uint32_t)errno;
    sme->begun.svl = streaming_length();
    return usual;
}

struct sme_turn *host_sme_prepare(struct host_sme *sme, unsigned number, unsigned svcr)
{
    const unsigned svl = sme->begun.svl;
    if (svcr & SVCR_ZA)
        fill_za(sme->za, number, svl);
    if (svcr & SVCR_SM)
        host_state_fill_vectors(sme->vectors, 2 + number, svl);
    sme->turn = (struct sme_turn){
        .wanted = svcr,
        .za = sme->za,
        .vectors = sme->vectors,
        .za_seen = sme->za_seen,
        .vectors_seen = sme->vectors_seen,
    };
    return &sme->turn;
}

void host_sme_note(struct host_sme *sme, unsigned number)
{
    struct wire_sme_event *seen = &sme->seen[number];
    const size_t svl = sme->turn.svl;
    *seen = (struct wire_sme_event){
        .svcr = (uint32_t)sme->turn.svcr,
        .svl = (uint32_t)svl,
    };
    if (seen->svcr & SVCR_ZA)
        seen->za = digest(sme->za_seen, svl * svl);
    if (seen->svcr & SVCR_SM)
        seen->vectors = digest(sme->vectors_seen, SME_VECTORS(svl));
}

void host_sme_end(unsigned usual)
{
    set_streaming_length(usual);
}
