// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
{% for line in comment %}
 *{{ " " ~ line if line }}
{% endfor %}
 */
#include <asm/kvm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KSFT_PASS 0
#define KSFT_FAIL 1
#define KSFT_SKIP 4

#define STEPS {{ steps }}
#define WAYS {{ "%#x" % ways }}u	/* a bit for each way that an early choice of the kernel leads */

{% for part in parts %}
{% include part ~ ".c" %}
{% endfor %}

{% for line in tables %}
{{ line }}
{% endfor %}
static void demand(void)
{
{% for line in demands %}
{{ line }}
{% endfor %}
}

int main(void)
{
	setbuf(stdout, NULL);
	printf("KTAP version 1\n");
	open_kvm();
	demand();
	begin();
{% for line in body %}
{{ line }}
{% endfor %}

	printf("# Totals: pass:%d\n", STEPS);
	return KSFT_PASS;
}
