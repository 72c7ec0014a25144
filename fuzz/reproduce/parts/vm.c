
#define RAM_BASE 0x40000000ul
#define RAM_SIZE 0x10000ul
#define CODE_BASE (RAM_BASE + 0x1000)
#define GUARD 0x10000ul

static int kvm, vm;
static unsigned char *ram, *buffer;	/* @buffer ends where nothing is mapped */
static size_t run_size;

static void *map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		broken("mmap");
	return at;
}

/* A VM with a few bits of address; @type: those of its type beside. */
static int vm_of_type(unsigned long type)
{
	int bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return ioctl(kvm, KVM_CREATE_VM, (bits > 36 ? 36 : bits > 0 ? bits : 0) | type);
}

static int create_vm(void)
{
	int fd = vm_of_type(0);

	if (fd < 0)
		broken("KVM_CREATE_VM");
	return fd;
}

static void give_ram(void)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = RAM_BASE,
		.memory_size = RAM_SIZE,
		.userspace_addr = (unsigned long)ram,
	};

	if (call(vm, KVM_SET_USER_MEMORY_REGION, &region))
		broken("KVM_SET_USER_MEMORY_REGION");
}

static void open_kvm(void)
{
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		skip("/dev/kvm cannot be opened");
}

static void begin(void)
{
	ram = map(RAM_SIZE);
	buffer = map(RAM_SIZE + GUARD);
	if (mprotect(buffer + RAM_SIZE, GUARD, PROT_NONE))
		broken("mprotect");
	run_size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm = create_vm();
	give_ram();
	printf("1..%d\n", STEPS);
}
