
/* KVM_GET_REG_LIST with room for @room ids; their number and they are the step's data. */
static int get_list(unsigned int n, __u64 room)
{
	struct kvm_reg_list *list = (struct kvm_reg_list *)buffer;
	int err;

	list->n = room;
	err = call(vcpus[n].fd, KVM_GET_REG_LIST, list);
	seen->size = sizeof(list->n);
	if (!err && sizeof(list->n) * (list->n + 1) <= ROOM)
		seen->size += sizeof(list->n) * list->n;
	memcpy(seen->data, list, seen->size);
	memset(buffer, 0, RAM_SIZE);
	return err;
}
