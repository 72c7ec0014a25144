
/* Whether the kernel is as new as @major.@minor. */
static bool since(unsigned int major, unsigned int minor)
{
	unsigned int here[2] = { 0, 0 };
	struct utsname uts;

	if (uname(&uts) || sscanf(uts.release, "%u.%u", &here[0], &here[1]) != 2)
		skip("the kernel's release is not known");
	return here[0] > major || (here[0] == major && here[1] >= minor);
}
