
/* What else the call told: see there. */
static void aux(const char *label, unsigned long long value)
{
	if (!fits || seen->aux == value)
		return;
	note("# expected: %s = %#llx, observed: %#llx\n", label, value, seen->aux);
	fits = false;
}
