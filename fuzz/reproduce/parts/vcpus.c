
static struct vcpu {
	int fd;
	struct kvm_run *run;
} vcpus[] = { { -1, NULL }, { -1, NULL }, { -1, NULL } };
