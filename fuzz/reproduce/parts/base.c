#define ROOM 32768

/* What a call did: its errno, and what it wrote. */
struct seen {
	int err;
	unsigned long long aux;
	size_t size;
	unsigned char data[ROOM];
};

static struct seen steps[STEPS], *seen;
static unsigned int number;	/* of steps begun */
static const char *name;	/* of the present one */
static unsigned int ways = WAYS, open_ways;	/* see outcome() */
static bool trying, fits;
static char why[4096];		/* the present step is not permitted */

static void skip(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	exit(KSFT_SKIP);
}

static void broken(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(KSFT_FAIL);
}

static void note(const char *format, ...)
{
	size_t used = strlen(why);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why + used, sizeof(why) - used, format, arguments);
	va_end(arguments);
}

static void step(const char *text)
{
	name = text;
	seen = &steps[number++];
	seen->size = 0;
	open_ways = 0;
	trying = false;
	why[0] = 0;
}

/* An ioctl as 0 or an errno. */
static int call(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) < 0 ? errno : 0;
}

static void settle(unsigned int on)
{
	if (trying && fits)
		open_ways |= on;
	trying = false;
}

static unsigned int tried;

/*
 * What follows is one permitted outcome of the step: that it ends with @err, and what the
 * lines up to the next outcome() or done() say of its data. Where an early choice of the
 * kernel decides what is permitted later, @on has a bit for each way that this is on.
 */
static void outcome_on(unsigned int on, int err)
{
	settle(tried);
	tried = on;
	trying = true;
	fits = (on & ways) != 0;
	if (fits && seen->err != err) {
		note("# expected: %s (%d)\n", err ? strerror(err) : "success", err);
		fits = false;
	}
}

static void outcome(int err)
{
	outcome_on(WAYS, err);
}

/* The step has been judged. The first that is not permitted ends the test. */
static void done(void)
{
	settle(tried);
	if (open_ways) {
		ways &= open_ways;
		printf("ok %u %s\n", number, name);
		return;
	}
	printf("not ok %u %s\n%s# observed: %s (%d)\n", number, name, why,
	       seen->err ? strerror(seen->err) : "success", seen->err);
	while (number++ < STEPS)
		printf("ok %u # SKIP nothing is expected after that\n", number);
	printf("# Totals: fail:1\n");
	exit(KSFT_FAIL);
}
