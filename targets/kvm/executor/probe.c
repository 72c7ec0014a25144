/* PROBE: what this kernel and its KVM are, as key=value lines. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "disturb.h"
#include "gic.h"
#include "host_sme.h"
#include "vm.h"

#ifndef KVM_CAP_ARM_EL2
#define KVM_CAP_ARM_EL2 240
#endif

static void line(struct sink *out, const char *key, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sink_put(out, key, strlen(key));
    sink_put(out, "=", 1);
    sink_put(out, text, n < 0 ? 0 : strnlen(text, sizeof text));
    sink_put(out, "\n", 1);
}

static const struct {
    const char *key;
    int number;
} capabilities[] = {
    {"cap.sve", KVM_CAP_ARM_SVE},
    {"cap.el1_32bit", KVM_CAP_ARM_EL1_32BIT},
    {"cap.pmu_v3", KVM_CAP_ARM_PMU_V3},
    {"cap.ptrauth_address", KVM_CAP_ARM_PTRAUTH_ADDRESS},
    {"cap.ptrauth_generic", KVM_CAP_ARM_PTRAUTH_GENERIC},
    {"cap.el2", KVM_CAP_ARM_EL2},
    {"cap.nisv_to_user", KVM_CAP_ARM_NISV_TO_USER},
    {"cap.mp_state", KVM_CAP_MP_STATE},
    {"cap.psci_0_2", KVM_CAP_ARM_PSCI_0_2},
    {"cap.mte", KVM_CAP_ARM_MTE},
    {"max_vcpus", KVM_CAP_MAX_VCPUS},
    {"ipa_bits", KVM_CAP_ARM_VM_IPA_SIZE},
};

static const struct {
    const char *key;
    uint64_t id;
} id_registers[] = {
    {"midr", ARM64_SYS_REG(3, 0, 0, 0, 0)},
    {"id_aa64pfr0", ARM64_SYS_REG(3, 0, 0, 4, 0)},
    {"id_aa64pfr1", ARM64_SYS_REG(3, 0, 0, 4, 1)},
    {"id_aa64pfr2", ARM64_SYS_REG(3, 0, 0, 4, 2)},
    {"id_aa64zfr0", ARM64_SYS_REG(3, 0, 0, 4, 4)},
    {"id_aa64smfr0", ARM64_SYS_REG(3, 0, 0, 4, 5)},
    {"id_aa64dfr0", ARM64_SYS_REG(3, 0, 0, 5, 0)},
    {"id_aa64isar0", ARM64_SYS_REG(3, 0, 0, 6, 0)},
    {"id_aa64isar1", ARM64_SYS_REG(3, 0, 0, 6, 1)},
    {"id_aa64isar2", ARM64_SYS_REG(3, 0, 0, 6, 2)},
    {"id_aa64mmfr0", ARM64_SYS_REG(3, 0, 0, 7, 0)},
    {"id_aa64mmfr1", ARM64_SYS_REG(3, 0, 0, 7, 1)},
    {"id_aa64mmfr2", ARM64_SYS_REG(3, 0, 0, 7, 2)},
};

/* What KVM says of itself once at boot; the first that is found wins. */
static const struct {
    const char *said, *mode;
} modes[] = {
    {"VHE+NV", "nested"},
    {"Protected hVHE mode initialized", "protected"},
    {"Protected nVHE mode initialized", "protected"},
    {"hVHE mode initialized", "hvhe"},
    {"nVHE mode initialized", "nvhe"},
    {"VHE mode initialized", "vhe"},
    {"Hyp mode initialized", "nvhe"},
};

static const char *mode_of_log(void)
{
    enum { LOG_READ_ALL = 3, LOG_SIZE = 10 };
    const char *mode = "unknown";
    int size = klogctl(LOG_SIZE, NULL, 0);
    if (size <= 0)
        return mode;
    char *log = calloc(1, (size_t)size + 1);
    if (!log)
        return mode;
    if (klogctl(LOG_READ_ALL, log, size) > 0)
        for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
            if (strstr(log, modes[i].said)) {
                mode = modes[i].mode;
                break;
            }
    free(log);
    return mode;
}

/* `vls`: 512 bits. */
static void lengths(struct sink *out, const char *key, const uint64_t vls[8])
{
    char text[1024] = "";
    size_t used = 0;
    for (unsigned vq = 1; vq <= 512 && used + 8 < sizeof text; vq++)
        if (vls[(vq - 1) / 64] >> (vq - 1) % 64 & 1)
            used += (size_t)sprintf(text + used, used ? ",%u" : "%u", vq);
    line(out, key, "%s", text);
}

static void vector_lengths(struct sink *out, int fd)
{
    uint64_t vls[8] = {0};
    if (get_reg(fd, KVM_REG_ARM64_SVE_VLS, vls))
        memset(vls, 0, sizeof vls);
    lengths(out, "vqs", vls);
}

static void streaming_lengths(struct sink *out)
{
    const uint64_t vls[8] = {host_sme_lengths()};
    lengths(out, "svqs", vls);
}

static void scratch_vcpu(struct machine *m, struct sink *out)
{
    struct kvm_vcpu_init init;
    memset(&init, 0, sizeof init);
    if (vm_create_vcpu(m, 0) || call(m->vm, KVM_ARM_PREFERRED_TARGET, &init))
        return;
    int fd = m->vcpus[0].fd;
    line(out, "preferred_target", "%u", init.target);
    if (ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_SVE) > 0)
        init.features[0] |= 1u << KVM_ARM_VCPU_SVE;
    if (call(fd, KVM_ARM_VCPU_INIT, &init))
        return;
    vector_lengths(out, fd);
    for (size_t i = 0; i < sizeof id_registers / sizeof id_registers[0]; i++) {
        uint64_t value;
        if (get_reg(fd, id_registers[i].id, &value) == 0)
            line(out, id_registers[i].key, "%#llx", (unsigned long long)value);
    }
}

/* The bits that FPCR and FPSR of the present CPU keep. */
struct fp_bits {
    uint64_t fpcr, fpsr;
};

static struct fp_bits fp_bits_here(void)
{
    const uint64_t ones = 0xffffffff;
    struct fp_bits kept;
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr\n\tmsr fpcr, %2\n\tmrs %1, fpcr\n\tmsr fpcr, %0"
                     : "=&r"(before), "=&r"(kept.fpcr)
                     : "r"(ones));
    __asm__ volatile("mrs %0, fpsr\n\tmsr fpsr, %2\n\tmrs %1, fpsr\n\tmsr fpsr, %0"
                     : "=&r"(before), "=&r"(kept.fpsr)
                     : "r"(ones));
    return kept;
}

/* Only where all CPUs that guests may run on are of one mind. */
static void fp_control(struct sink *out)
{
    cpu_set_t all, one;
    const struct fp_bits first = fp_bits_here();
    bool same = sched_getaffinity(0, sizeof all, &all) == 0;
    for (int cpu = 0; same && cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        same = sched_setaffinity(0, sizeof one, &one) == 0;
        const struct fp_bits here = fp_bits_here();
        same = same && here.fpcr == first.fpcr && here.fpsr == first.fpsr;
    }
    sched_setaffinity(0, sizeof all, &all);
    if (!same)
        return;
    line(out, "fpcr_bits", "%#llx", (unsigned long long)first.fpcr);
    line(out, "fpsr_bits", "%#llx", (unsigned long long)first.fpsr);
}

static sigjmp_buf no_such_instruction;

static void on_sigill(int signal)
{
    (void)signal;
    siglongjmp(no_such_instruction, 1);
}

/* Whether the CPU has ADDG: FEAT_MTE shows in no ID register of a VM without it, and a kernel that
 * has no use for FEAT_MTE alone does not tell of that. */
static bool has_addg(void)
{
    struct sigaction mine = {.sa_handler = on_sigill}, before;
    volatile bool has = false;
    sigaction(SIGILL, &mine, &before);
    if (!sigsetjmp(no_such_instruction, 1)) {
        __asm__ volatile(".inst 0x91810000" ::: "x0"); /* addg x0, x0, #16, #0 */
        has = true;
    }
    sigaction(SIGILL, &before, NULL);
    return has;
}

/* 2: tags of memory, which KVM lets VMs have; 1: the instructions at least; 0: none. */
static void memory_tagging(struct machine *m, struct sink *out)
{
    bool tags = ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_MTE) > 0;
    line(out, "mte", "%d", tags ? 2 : has_addg() ? 1 : 0);
}

static const char *const stranger_names[STRANGER_COUNT] = {
    [STRANGER_SOFTIRQ] = "softirq",
    [STRANGER_THREAD] = "thread",
    [STRANGER_SIGNAL] = "signal",
    [STRANGER_MOVE] = "move",
    [STRANGER_STEP] = "step",
};

static void strangers(struct sink *out)
{
    char names[64] = "";
    for (unsigned kind = 0; kind < STRANGER_COUNT; kind++)
        if (disturb_available(kind)) {
            strcat(names, *names ? "," : "");
            strcat(names, stranger_names[kind]);
        }
    line(out, "strangers", "%s", names);
}

struct outcome op_probe(struct machine *m, const struct op *op, struct sink *out)
{
    (void)op;
    struct utsname name;
    if (uname(&name) == 0) {
        line(out, "release", "%s", name.release);
        line(out, "version", "%s", name.version);
    }
    line(out, "api_version", "%d", ioctl(m->kvm, KVM_GET_API_VERSION, 0));
    for (size_t i = 0; i < sizeof capabilities / sizeof capabilities[0]; i++) {
        int value = ioctl(m->kvm, KVM_CHECK_EXTENSION, capabilities[i].number);
        line(out, capabilities[i].key, "%d", value < 0 ? 0 : value);
    }
    line(out, "mode", "%s", mode_of_log());
    char text[1024] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        text[n < 0 ? 0 : n] = 0;
        text[strcspn(text, "\n")] = 0;
    }
    line(out, "boot_cmdline", "%s", text);
    line(out, "page_size", "%ld", sysconf(_SC_PAGESIZE));
    line(out, "memory_pages", "%ld", sysconf(_SC_PHYS_PAGES));
    fp_control(out);
    memory_tagging(m, out);
    line(out, "gic", "%d", gic_available(m));
    streaming_lengths(out);
    strangers(out);
    line(out, "threads", "1");
    line(out, "vms", "2");
    scratch_vcpu(m, out);
    return (struct outcome){0};
}
