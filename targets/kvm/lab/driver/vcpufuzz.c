// SPDX-License-Identifier: GPL-2.0
/* Kernel-mode NEON in a softirq, on demand: what a network driver's checksum or a disk's
 * encryption do to a vcpu, but at a chosen instant. Only in kernels that the lab builds.
 *
 * write: u64 ns, after which it happens on this CPU; the latest write counts, 0 calls it off.
 * read: u64 how often it has happened, u64 how often it was put off since the interrupted code
 * was using the unit itself. */
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <asm/neon.h>
#include <asm/simd.h>

struct counts {
	u64 fired, refused;
};

static struct hrtimer timer;
static struct counts counts;

#define REGISTERS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

static noinline void spoil(void)
{
	asm volatile(".arch_extension fp\n"
		     ".arch_extension simd\n"
		     ".irp n, " REGISTERS "\n"
		     "movi v\\n\\().16b, #0x5a\n"
		     ".endr\n" ::: "memory");
}

static void use_neon(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	struct user_fpsimd_state kept;

	kernel_neon_begin(&kept);
	spoil();
	kernel_neon_end(&kept);
#else
	kernel_neon_begin();
	spoil();
	kernel_neon_end();
#endif
}

static enum hrtimer_restart expire(struct hrtimer *unused)
{
	if (may_use_simd()) {
		use_neon();
		counts.fired++;
	} else {
		counts.refused++;
	}
	return HRTIMER_NORESTART;
}

static ssize_t vcpufuzz_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	u64 ns;

	if (size != sizeof(ns))
		return -EINVAL;
	if (copy_from_user(&ns, from, sizeof(ns)))
		return -EFAULT;
	if (ns)
		hrtimer_start(&timer, ns_to_ktime(ns), HRTIMER_MODE_REL_PINNED_SOFT);
	else
		hrtimer_cancel(&timer);
	return size;
}

static ssize_t vcpufuzz_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	if (size != sizeof(counts))
		return -EINVAL;
	return copy_to_user(to, &counts, sizeof(counts)) ? -EFAULT : sizeof(counts);
}

static const struct file_operations operations = {
	.write = vcpufuzz_write,
	.read = vcpufuzz_read,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vcpufuzz",
	.fops = &operations,
	.mode = 0600,
};

static int __init vcpufuzz_init(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&timer, expire, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_SOFT);
#else
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_SOFT);
	timer.function = expire;
#endif
	return misc_register(&device);
}
device_initcall(vcpufuzz_init);
