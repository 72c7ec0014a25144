
/* At least @least registers were listed, and all of them arrived. */
static void arrived(__u64 least)
{
	if (!fits)
		return;
	if (listed < least) {
		note("# expected: %llu registers or more, observed: %llu\n",
		     (unsigned long long)least, (unsigned long long)listed);
		fits = false;
	} else if (lost) {
		size_t size = 1u << (lost->id >> 52 & 15);

		note("# register %#llx: GET %d, SET %d, GET of what arrived %d\n",
		     (unsigned long long)lost->id, lost->read, lost->written, lost->back);
		show("what was saved", lost->value, size < 16 ? size : 16, 0);
		show("what arrived", lost->arrived, size < 16 ? size : 16, 0);
		fits = false;
	}
}
