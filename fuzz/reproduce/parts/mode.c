
static bool is_protected(void)
{
	char line[4096];
	FILE *file = fopen("/proc/cmdline", "r");
	bool found = false;

	if (!file)
		skip("/proc/cmdline cannot be read");
	if (fgets(line, sizeof(line), file))
		found = strstr(line, "kvm-arm.mode=protected") != NULL;
	fclose(file);
	return found;
}
