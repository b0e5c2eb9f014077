/* SPDX-License-Identifier: MIT
 *
 * What is believed of the kernel's answers. Here the program itself is the
 * kernel: send(2) and recvmsg(2), as device/netlink.c calls them, are its own.
 */
#include <errno.h>
#include <sys/socket.h>

#include "check.h"
#include "device/restore.h"

#define IFINDEX 7
#define STEPS_MAX 64

/* What one recvmsg(2) brings. */
struct step {
	const char *kind;     /* of a root qdisc, if any */
	uint32_t child;	      /* a qdisc below it, first */
	uint32_t filter;      /* a filter */
	uint32_t interrupted; /* NLM_F_DUMP_INTR */
	uint16_t end;	      /* NLMSG_DONE or NLMSG_ERROR, if any */
	int32_t error;
	uint32_t sender;  /* 0: the kernel */
	int32_t late;	  /* how many requests ago it was asked */
	uint32_t cut_off; /* MSG_TRUNC */
};

static struct step steps[STEPS_MAX];
static unsigned steps_len, steps_at, requests;
static struct nlmsghdr asked;

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
	(void)fd;
	(void)flags;
	memcpy(&asked, bytes, sizeof(asked));
	requests++;
	return (ssize_t)len;
}

static uint8_t *put(uint8_t *at, const struct step *step, struct request *r)
{
	r->header.nlmsg_seq = asked.nlmsg_seq - (uint32_t)step->late;
	r->header.nlmsg_flags = step->interrupted ? NLM_F_MULTI | NLM_F_DUMP_INTR : NLM_F_MULTI;
	memcpy(at, r, r->header.nlmsg_len);
	return at + NLMSG_ALIGN(r->header.nlmsg_len);
}

static uint8_t *put_qdisc(uint8_t *at, const struct step *step, const char *kind, uint32_t parent)
{
	struct tcmsg tc = {.tcm_ifindex = IFINDEX, .tcm_parent = parent, .tcm_handle = 0x80010000};
	struct request r;

	request_start(&r, RTM_NEWQDISC, 0, &tc);
	request_put_name(&r, TCA_KIND, kind);
	return put(at, step, &r);
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
	struct sockaddr_nl from = {.nl_family = AF_NETLINK};
	uint8_t *bytes = header->msg_iov[0].iov_base, *at = bytes;
	const struct step *step = &steps[steps_at];
	struct tcmsg tc = {.tcm_ifindex = IFINDEX};
	struct request r;

	(void)fd;
	(void)flags;
	errno = EAGAIN;
	if (steps_at == steps_len)
		return -1;
	steps_at++;
	if (step->child)
		at = put_qdisc(at, step, "pfifo", 0x80010001);
	if (step->kind)
		at = put_qdisc(at, step, step->kind, TC_H_ROOT);
	if (step->filter) {
		request_start(&r, RTM_NEWTFILTER, 0, &tc);
		at = put(at, step, &r);
	}
	if (step->end) {
		request_start(&r, step->end, 0, &tc);
		memcpy(&r.tc, &step->error, sizeof(step->error));
		at = put(at, step, &r);
	}
	from.nl_pid = step->sender;
	memcpy(header->msg_name, &from, sizeof(from));
	header->msg_flags = step->cut_off ? MSG_TRUNC : 0;
	return at - bytes;
}

/* The kernel will say this, after what it has left to say. */
static void say(struct step step)
{
	steps[steps_len++] = step;
}

static void start(void)
{
	steps_len = steps_at = requests = 0;
}

static struct root root;
static uint32_t filters;

static const char *only_the_kernel_is_believed(void)
{
	start();
	say((struct step){.kind = "bfifo", .end = NLMSG_DONE, .sender = 4711});
	say((struct step){.end = NLMSG_ERROR, .error = -EPERM, .sender = 4711});
	say((struct step){.kind = "tbf", .end = NLMSG_DONE});
	HOLDS(!netlink_root(0, IFINDEX, &root) && !strcmp(root.kind, "tbf"));
	HOLDS(steps_at == 3);
	return NULL;
}

static const char *only_this_answer_is_read(void)
{
	start();
	say((struct step){.kind = "bfifo", .child = 1, .end = NLMSG_DONE, .late = 1});
	say((struct step){.end = NLMSG_ERROR, .error = -EPERM, .late = -1});
	say((struct step){.kind = "tbf", .end = NLMSG_DONE});
	HOLDS(!netlink_root(0, IFINDEX, &root) && !strcmp(root.kind, "tbf") && !root.children);
	return NULL;
}

static const char *an_interrupted_list_is_asked_for_again(void)
{
	start();
	say((struct step){.kind = "tbf", .child = 1});
	say((struct step){.child = 1, .interrupted = 1});
	say((struct step){.child = 1, .end = NLMSG_DONE}); /* read to here: else it stays busy */
	say((struct step){.kind = "pfifo", .child = 1, .end = NLMSG_DONE});
	HOLDS(!netlink_root(0, IFINDEX, &root) && !strcmp(root.kind, "pfifo"));
	HOLDS(root.children == 1 && requests == 2);
	start();
	say((struct step){.filter = 1, .end = NLMSG_DONE, .interrupted = 1});
	say((struct step){.end = NLMSG_DONE});
	HOLDS(!netlink_filters(0, IFINDEX, 0x80010000, &filters) && !filters && requests == 2);
	return NULL;
}

static const char *not_for_ever(void)
{
	start();
	for (int i = 0; i < STEPS_MAX; i++)
		say((struct step){.kind = "tbf", .end = NLMSG_DONE, .interrupted = 1});
	HOLDS(netlink_root(0, IFINDEX, &root) == -EAGAIN && requests == DUMP_TRIES_MAX);
	start();
	for (int i = 0; i < STEPS_MAX; i++)
		say((struct step){.filter = 1, .end = NLMSG_DONE, .interrupted = 1});
	HOLDS(netlink_filters(0, IFINDEX, 0x80010000, &filters) == -EAGAIN);
	HOLDS(requests == DUMP_TRIES_MAX);
	return NULL;
}

static const char *a_list_that_failed_is_no_list(void)
{
	start();
	say((struct step){.kind = "tbf"});
	say((struct step){.end = NLMSG_DONE, .error = -ENOMEM}); /* half of it was listed */
	HOLDS(netlink_root(0, IFINDEX, &root) == -ENOMEM);
	start();
	say((struct step){.end = NLMSG_ERROR, .error = -EPERM});
	HOLDS(netlink_root(0, IFINDEX, &root) == -EPERM);
	start();
	say((struct step){.kind = "tbf", .end = NLMSG_DONE, .cut_off = 1});
	HOLDS(netlink_root(0, IFINDEX, &root) == -EMSGSIZE);
	start();
	HOLDS(netlink_root(0, IFINDEX, &root) == -EAGAIN); /* silence */
	return NULL;
}

static const char *filters_that_are_not_shown_stop_it(void)
{
	const struct device d = {.ifindex = IFINDEX};
	const struct root configured = {.kind = "pfifo", .handle = 0x80010000, .options_len = 4};
	const int32_t errors[] = {-ENOMEM, -EPERM, -EINVAL, -ENOENT};
	char why[QSOCKET_WHY_BYTES];
	struct root saved;

	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		memset(&saved, 0, sizeof(saved));
		memset(why, 0, sizeof(why));
		start();
		say((struct step){.end = i % 2 ? NLMSG_ERROR : NLMSG_DONE, .error = errors[i]});
		HOLDS(restore_save(0, &d, &configured, &saved, why) == errors[i]);
		HOLDS(strstr(why, "filters of its pfifo") && !*saved.kind && requests == 1);
	}
	start();
	say((struct step){.filter = 1, .end = NLMSG_DONE});
	HOLDS(restore_save(0, &d, &configured, &saved, why) == -EOPNOTSUPP && !*saved.kind);
	start();
	say((struct step){.end = NLMSG_DONE});
	HOLDS(!restore_save(0, &d, &configured, &saved, why) && !strcmp(saved.kind, "pfifo"));
	/* of a kernel that is built without them */
	memset(&saved, 0, sizeof(saved));
	start();
	say((struct step){.end = NLMSG_ERROR, .error = -EOPNOTSUPP});
	HOLDS(!restore_save(0, &d, &configured, &saved, why) && !strcmp(saved.kind, "pfifo"));
	return NULL;
}

int main(void)
{
	check("what another program says is not believed", only_the_kernel_is_believed());
	check("the answer to another request is passed over", only_this_answer_is_read());
	check("a list that was interrupted is asked for again, once it has ended",
	      an_interrupted_list_is_asked_for_again());
	check("a list that is always interrupted is given up", not_for_ever());
	check("a list that failed on the way is no list", a_list_that_failed_is_no_list());
	check("filters that the kernel does not show are not taken for none",
	      filters_that_are_not_shown_stop_it());
	return check_end();
}
